/** CPU time and memory of processes, as the kernel counts them. */
import { readdirSync, readFileSync } from 'node:fs'

const ticksPerSecond = 100
const pageBytes = 4096

export interface Usage {
  /** Seconds, user and system. */
  cpu: number
  rss: number
}

function stat(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** The workerd that this very process started. */
export function ownWorkerd(): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      if (Number(stat(Number(name))[1]) !== process.pid) continue
      if (/workerd/.test(readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')[0] ?? '')) return Number(name)
    } catch {
      // It ended meanwhile.
    }
  }
  throw new Error('no workerd of ours runs')
}

export function usageOf(pid: number): Usage {
  const fields = stat(pid)
  return { cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, rss: Number(fields[21]) * pageBytes }
}
