/**
 * One short-lived folder per agent for sockets and session settings, in the system's temporary folder because a socket's path may have 107 bytes
 * only. An agent that was killed cannot remove its own: the next one sweeps those whose owner is dead.
 */
import { readFileSync } from 'node:fs'
import { lstat, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const prefix = 'porthole-'
const ownerFile = 'owner.json'
/** What is left for names inside. */
const longestRoot = 60

export async function makeRuntimeFolder(): Promise<string> {
  const parent = await temporaryRoot()
  await sweep(parent)
  const folder = await mkdtemp(join(parent, prefix))
  await writeFile(join(folder, ownerFile), JSON.stringify({ pid: process.pid, born: birthOf(process.pid) }))
  return folder
}

async function temporaryRoot(): Promise<string> {
  const root = await realpath(tmpdir())
  return root.length <= longestRoot ? root : '/tmp'
}

async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue
    const folder = join(parent, name)
    const facts = await lstat(folder).catch(() => null)
    // Anybody may put something of that name here: only what is our own user's is ours to remove.
    if (!facts?.isDirectory() || facts.uid !== process.getuid!()) continue
    const owner = await readFile(join(folder, ownerFile), 'utf8').catch(() => null)
    if (owner !== null && !livingOwner(owner)) await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

function livingOwner(text: string): boolean {
  try {
    const { pid, born } = JSON.parse(text) as { pid: number; born: string | null }
    const now = birthOf(pid)
    return now !== null && now === born
  } catch {
    return false
  }
}

/** Start time of a process in clock ticks since boot: with it a number that was given out again is not mistaken for the old owner. */
export function birthOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
