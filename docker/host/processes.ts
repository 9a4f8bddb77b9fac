/** The session's processes as /proc shows them: for figures, for the memory wall and for the last kill. */
import { readdirSync, readFileSync } from 'node:fs'

export interface Process {
  pid: number
  user: number
  parent: number
  name: string
  /** Memory nobody else holds a copy of. */
  privateBytes: number
  cpuTicks: number
}

/** How the session's processes are told from others: all of the pid namespace, all of the user, or this process and its descendants. */
export type Owns = 'namespace' | 'user' | 'tree'

const ticksPerSecond = 100

export function sessionProcesses(owns: Owns): Process[] {
  const all: Process[] = []
  for (const entry of readdirSync('/proc')) {
    const process = /^\d+$/.test(entry) ? readProcess(Number(entry)) : null
    if (process) all.push(process)
  }
  if (owns === 'user') return all.filter(each => each.user === process.getuid!())
  return owns === 'namespace' ? all : descendants(all)
}

function descendants(all: Process[]): Process[] {
  const ours = new Set([process.pid])
  for (let before = 0; before !== ours.size; ) {
    before = ours.size
    for (const each of all) if (ours.has(each.parent)) ours.add(each.pid)
  }
  return all.filter(each => ours.has(each.pid))
}

function readProcess(pid: number): Process | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(status)
    return {
      pid,
      user: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? -1),
      parent: Number(fields[1]),
      name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      privateBytes: Number(anonymous?.[1] ?? 0) * 1024,
      cpuTicks: Number(fields[11]) + Number(fields[12]),
    }
  } catch {
    return null
  }
}

/** Whether this process only serves one page, so that losing it is a "page crashed" and not the session's end. */
export function isRenderer(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--type=renderer')
  } catch {
    return false
  }
}

export interface Figures {
  cpu_seconds: number
  /** Thousandths of a core, over the time since the figures before these. */
  cpu_millis: number
  memory_bytes: number
  memory_limit_bytes: number | null
  processes: number
}

/** Adds up processor time so that it never falls when a process ends. */
export class Meter {
  private readonly owns: Owns
  private readonly limit: number | null
  private readonly now: () => number
  private seen = new Map<number, number>()
  private ticks = 0
  private last: { at: number; ticks: number }

  constructor(owns: Owns, limit: number | null, now: () => number = () => performance.now()) {
    this.owns = owns
    this.limit = limit
    this.now = now
    this.last = { at: now(), ticks: 0 }
  }

  read(processes: Process[] = sessionProcesses(this.owns)): Figures {
    const seen = new Map<number, number>()
    for (const { pid, cpuTicks } of processes) {
      const before = this.seen.get(pid) ?? 0
      this.ticks += cpuTicks >= before ? cpuTicks - before : cpuTicks
      seen.set(pid, cpuTicks)
    }
    this.seen = seen
    const at = this.now()
    const seconds = Math.max(0.001, (at - this.last.at) / 1000)
    const cpu = (this.ticks - this.last.ticks) / ticksPerSecond / seconds
    this.last = { at, ticks: this.ticks }
    return {
      cpu_seconds: this.ticks / ticksPerSecond,
      cpu_millis: Math.round(cpu * 1000),
      memory_bytes: processes.reduce((sum, each) => sum + each.privateBytes, 0),
      memory_limit_bytes: this.limit,
      processes: processes.length,
    }
  }
}

/** Nothing of the session runs after this but the caller (and its init). A tree is walked until it stays empty. */
export function killSession(owns: Owns): void {
  if (owns !== 'tree') {
    try {
      process.kill(-1, 'SIGKILL')
    } catch {}
    return
  }
  for (let round = 0; round < 20; round++) {
    const others = sessionProcesses('tree').filter(each => each.pid !== process.pid)
    if (others.length === 0) return
    for (const { pid } of others) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {}
    }
  }
}
