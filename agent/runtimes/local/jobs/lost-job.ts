/**
 * What a supervisor left that was killed. Its sandbox dies with it, once it is tied to its life: killed while it was still being built, it would go on
 * alone. So everything of an attempt carries its name in the environment, and goes by that; a user that is the attempt's alone tells as well.
 */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export const jobMark = 'PORTHOLE_JOB'
const rounds = 200
const roundMs = 30

/** Resolves when nothing of it runs, or nothing more can be done. */
export async function endLeftovers(name: string, home: string): Promise<void> {
  const uid = ownUser(home)
  for (let round = 0; round < rounds; round++) {
    const left = leftovers(name, uid)
    if (left.length === 0) return
    for (const pid of left)
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It went by itself.
      }
    await delay(roundMs)
  }
}

/** Processes that carry the attempt's name, or are its user's. */
function leftovers(name: string, uid: number | null): number[] {
  return readdirSync('/proc')
    .filter(entry => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map(Number)
    .filter(pid => isAlive(pid) && ((uid !== null && userOf(pid) === uid) || carries(pid, name)))
}

function ownUser(home: string): number | null {
  try {
    const { uid } = lstatSync(home)
    return uid === process.getuid!() ? null : uid
  } catch {
    return null
  }
}

function userOf(pid: number): number | null {
  try {
    return statSync(`/proc/${pid}`).uid
  } catch {
    return null
  }
}

function carries(pid: number, name: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${jobMark}=${name}`)
  } catch {
    return false
  }
}

/** What only waits to be reaped does nothing any more. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}
