/**
 * Users of a build. It needs many (files of an image have owners), and may have none of the machine's: inside they count from 0, outside they are numbers
 * nobody else has. A root agent hands them out itself; another has those that the machine's administrator gave to its user (/etc/subuid).
 */
import { readlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { childrenOf } from './process-tree.ts'

/** Of root's builds: above what sessions have, below where numbers end. */
const firstOfAll = 2_200_000_000
export const idsOfOne = 65_536
const places = 30_000
const lookMs = 5
const patienceMs = 20_000

/** The numbers of the build whose home a session's user would have. */
export const firstIdOf = (uid: number) => firstOfAll + (uid % places) * idsOfOne

const spaceOf = (pid: number | 'self'): string | null => {
  try {
    return readlinkSync(`/proc/${pid}/ns/user`)
  } catch {
    return null
  }
}

/** Gives the first process below `root` that is in a user namespace of its own these numbers. Rejects when there comes none. */
export async function mapIds(root: number, first: number, signal?: AbortSignal): Promise<void> {
  const ours = spaceOf('self')
  const until = performance.now() + patienceMs
  for (;;) {
    const found = below(root).find(pid => {
      const space = spaceOf(pid)
      return space !== null && space !== ours
    })
    if (found !== undefined) {
      for (const kind of ['uid', 'gid']) writeFileSync(`/proc/${found}/${kind}_map`, `0 ${first} ${idsOfOne}\n`)
      return
    }
    if (performance.now() > until) throw new Error('it made no user namespace')
    await delay(lookMs, undefined, { signal })
  }
}

const below = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(below)]
