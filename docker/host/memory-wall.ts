/**
 * A wall for memory where no cgroup can be had: over the limit, the hungriest page is ended (the browser shows that it crashed); if that does not
 * help, the session. Sampled, so a sudden burst can overshoot: a container's own limit is the better wall.
 */
import { isRenderer, type Owns, type Process, sessionProcesses } from './processes.ts'

const interval = 2_000

export interface WallOptions {
  owns: Owns
  limit: number
  signal: AbortSignal
  onPageEnded(sentence: string): void
  onOver(sentence: string): void
  list?: (owns: Owns) => Process[]
  kill?: (pid: number) => void
}

export function watchMemory(options: WallOptions): void {
  const { limit, signal, list = sessionProcesses, kill = pid => process.kill(pid, 'SIGKILL') } = options
  let rounds = 0
  const timer = setInterval(() => {
    const processes = list(options.owns)
    const used = processes.reduce((sum, each) => sum + each.privateBytes, 0)
    if (used <= limit) {
      rounds = 0
      return
    }
    rounds++
    const words = `${inMiB(used)} of memory used, ${inMiB(limit)} allowed`
    const [page] = processes.filter(each => isRenderer(each.pid)).sort((a, b) => b.privateBytes - a.privateBytes)
    if (rounds <= 3 && page && page.privateBytes > used / 4) {
      kill(page.pid)
      options.onPageEnded(`A page was ended because the session needed too much memory (${words})`)
    } else if (rounds > 1) options.onOver(`The session needed too much memory (${words})`)
  }, interval)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`
}
