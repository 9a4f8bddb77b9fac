/** What every program of this room does alike: ends on a signal, in the opposite order of its beginnings, and says faults in one line. */
import { DataDirInUse, DataDirUnusable, holdDataDir } from '#db/embedded/data-dir-lock.ts'
import { Told } from './config.ts'

export interface Ending {
  /** Done when the program ends, last added first. */
  add(step: () => Promise<void>): void
}

/**
 * `signal` aborts when someone wants an end, or the parent is gone; a second wish ends us at once, and the kernel tells our children.
 * What the program resolves with, when nobody asked it to end, is the exit code.
 */
export async function runProgram(
  program: (say: (line: string) => void, signal: AbortSignal, ending: Ending) => Promise<number>,
): Promise<void> {
  const abort = new AbortController()
  const steps: (() => Promise<void>)[] = []
  const end = () => {
    if (abort.signal.aborted) process.exit(130)
    abort.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  process.once('disconnect', end)
  // Hearing of the parent's end is no reason to stay.
  process.channel?.unref()
  const say = (line: string) => process.stderr.write(`${line}\n`)

  let code: number
  try {
    code = await Promise.race([program(say, abort.signal, { add: step => steps.push(step) }), aborted(abort.signal)])
  } catch (error) {
    code = 1
    if (error instanceof Told || error instanceof DataDirInUse || error instanceof DataDirUnusable) say(error.message)
    else if (!abort.signal.aborted) say(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  const asked = abort.signal.aborted
  abort.abort()
  for (const step of steps.reverse()) await step().catch(error => say(`While ending: ${error.message}`))
  process.exit(asked ? 0 : code)
}

function aborted(signal: AbortSignal): Promise<number> {
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(0), { once: true }))
}

/** Held until we end; the kernel sees to that. */
export function holdFolder(dir: string): void {
  holdDataDir(dir)
}
