/** What all of the machine spends: a local cluster's room is the machine's, so what others take of it counts. */
import { cpus, freemem, totalmem } from 'node:os'
import type { Figures } from '../runtime.ts'

interface CpuTimes {
  busyMs: number
  allMs: number
  cpus: number
}

/** Steps that make news: less is noise. */
const cpuStep = 50
const memoryStep = 64 * 2 ** 20

export class MachineFigures {
  private before = cpuTimes()

  /** CPU since the last call. */
  read(now = cpuTimes(), memoryUsed = totalmem() - freemem()): Figures {
    const all = now.allMs - this.before.allMs
    const busy = now.busyMs - this.before.busyMs
    this.before = now
    const cpu_millis_used = all > 0 ? Math.round((Math.max(0, busy / all) * now.cpus * 1000) / cpuStep) * cpuStep : null
    return { cpu_millis_used, memory_bytes_used: Math.round(memoryUsed / memoryStep) * memoryStep }
  }
}

function cpuTimes(): CpuTimes {
  const each = cpus().map(({ times }) => times)
  const allMs = each.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0)
  return { allMs, busyMs: allMs - each.reduce((sum, { idle }) => sum + idle, 0), cpus: each.length }
}
