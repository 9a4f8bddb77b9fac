/** Ends what a job runs, seen from outside of its walls. */
import { readdirSync, readFileSync, statSync } from 'node:fs'

/** Tells the job's main program, politely: the child of the namespace's first process, which may not signal another user's by itself. */
export function tell(pid: number, walls: 'bubblewrap' | 'plain'): void {
  const told = walls === 'plain' ? [pid] : childrenOf(pid).flatMap(childrenOf)
  for (const each of told) send(each, 'SIGTERM')
}

/** Kills all of it: the first process takes its namespace along; without one, the process group and whatever else is its user's. */
export function killAll(pid: number, walls: 'bubblewrap' | 'plain', ownUid: number | null): void {
  if (walls === 'plain') {
    send(-pid, 'SIGKILL')
    if (ownUid !== null) for (const other of processesOf(ownUid)) send(other, 'SIGKILL')
  } else for (const each of descendantsOf(pid)) send(each, 'SIGKILL')
  send(pid, 'SIGKILL')
}

/** All below it; what is behind walls of a build is some steps further down. */
function descendantsOf(pid: number): number[] {
  const children = childrenOf(pid)
  return [...children, ...children.flatMap(descendantsOf)]
}

/** The first process of the sandbox that this supervisor keeps (behind plain walls: the job's own); null: there is none yet. */
export function firstInside(supervisor: number): number | null {
  const [outside] = childrenOf(supervisor)
  return outside === undefined ? null : (childrenOf(outside)[0] ?? null)
}

/** Memory that nobody but this process and all below it holds. */
export function privateBytes(root: number): number {
  const parents = new Map(allProcesses().map(pid => [pid, parentOf(pid)]))
  const tree = new Set([root])
  for (let before = 0; before !== tree.size; ) {
    before = tree.size
    for (const [pid, parent] of parents) if (parent !== null && tree.has(parent)) tree.add(pid)
  }
  return [...tree].reduce((sum, pid) => sum + anonymousBytes(pid), 0)
}

function parentOf(pid: number): number | null {
  const stat = textOf(`/proc/${pid}/stat`)
  return stat === '' ? null : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

function anonymousBytes(pid: number): number {
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It is gone, which is what was wanted.
  }
}

export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function processesOf(uid: number): number[] {
  return allProcesses().filter(pid => {
    try {
      return statSync(`/proc/${pid}`).uid === uid
    } catch {
      return false
    }
  })
}

function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
}
