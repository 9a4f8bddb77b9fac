/** Which walls this machine can build, found out by building them once: bubblewrap, else a bare process tree, else nothing. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Room, type Walls, wallsCommand } from './isolation.ts'
import type { Programs } from './programs.ts'

export interface Machine {
  walls: Walls
  /** Whether Chromium can keep its own sandbox inside these walls. */
  chromiumSandbox: boolean
  notes: string[]
}

const patience = 20_000

/** `room`: a sample; its home and scratch must exist. `prepare` answers the paths that must be readable behind these walls. */
export async function probeWalls(
  programs: Programs,
  room: Room,
  isRoot: boolean,
  prepare: (walls: Walls) => Promise<string[]>,
): Promise<Machine> {
  const notes: string[] = []
  const ownUsers = isRoot && programs.setpriv !== null
  if (isRoot && !ownUsers) notes.push('Sessions run as root: setpriv (package util-linux) is missing')
  const faults: string[] = []
  for (const kind of ['bubblewrap', 'plain'] as const) {
    if (kind === 'bubblewrap' && !programs.bwrap) {
      faults.push('bubblewrap is not installed')
      continue
    }
    const walls: Walls = { kind, ownUsers }
    const found = await tryWalls(walls, programs, room, await prepare(walls))
    if ('fault' in found) {
      faults.push(`${kind === 'bubblewrap' ? 'bubblewrap' : 'a plain process'} does not work here: ${found.fault}`)
      continue
    }
    if (kind === 'plain') notes.push(plainNote(ownUsers, faults))
    const chromiumSandbox = found.userNamespaces && !(isRoot && !ownUsers)
    if (!chromiumSandbox)
      notes.push("Chromium runs without its own sandbox: this machine denies user namespaces to a session's programs")
    return { walls, chromiumSandbox, notes }
  }
  throw new Error(`this machine cannot run sessions: ${faults.join('; ')}`)
}

function plainNote(ownUsers: boolean, faults: string[]): string {
  const open = ownUsers ? 'sessions share /tmp and see each other’s processes' : 'sessions can read everything this user can'
  return `Sessions are not walled off: ${faults.join('; ')}. Each still has its own home, but ${open}`
}

async function tryWalls(
  walls: Walls,
  programs: Programs,
  room: Room,
  readable: string[],
): Promise<{ userNamespaces: boolean } | { fault: string }> {
  const unshare = programs.unshare
    ? `${programs.unshare} --user --map-root-user --pid --fork --net true 2>/dev/null && echo namespaces`
    : ':'
  const script = `for file in "$@"; do test -r "$file" || { echo "$file cannot be read by a session's user" >&2; exit 3; }; done; ${unshare}; echo fine`
  const [program, ...args] = wallsCommand(walls, programs, room, ['/bin/sh', '-c', script, 'probe', ...readable])
  try {
    const { stdout } = await promisify(execFile)(program!, args, { timeout: patience, cwd: '/', env: {} })
    if (!stdout.includes('fine')) return { fault: 'the trial run said nothing' }
    return { userNamespaces: stdout.includes('namespaces') }
  } catch (fault) {
    const { stderr, message } = fault as { stderr?: string; message: string }
    return { fault: (stderr || message).trim().split('\n').at(-1)!.slice(0, 300) }
  }
}
