/**
 * One owner per data directory. The lock is the kernel's (`flock`): it ends with the process that holds it, however that dies, so
 * there is no stale lock to reason about. Node has no flock call, but the lock belongs to the open file, which the program `flock` gets as
 * its descriptor 3 and we keep. What the file says is only for people.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface DataDirHold {
  readonly dir: string
  release(): void
}

export class DataDirInUse extends Error {
  readonly dir: string
  readonly pid: number | null
  constructor(dir: string, pid: number | null) {
    super(`${dir} is in use by another Porthole${pid ? ` (process ${pid})` : ''}: end it first, or choose another DATA_DIR`)
    this.name = 'DataDirInUse'
    this.dir = dir
    this.pid = pid
  }
}

/** The folder cannot be made or written to; one line for a person. */
export class DataDirUnusable extends Error {
  constructor(dir: string, cause: NodeJS.ErrnoException) {
    super(`${dir} cannot be used: ${whyUnusable(cause)}. Choose another DATA_DIR`, { cause })
    this.name = 'DataDirUnusable'
  }
}

function whyUnusable({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not write there'
  if (code === 'EEXIST' || code === 'ENOTDIR') return 'there is a file in its place'
  if (code === 'ENOENT') return 'no folder can be made there'
  if (code === 'EROFS') return 'it is on a read-only file system'
  if (code === 'ENOSPC') return 'the disk is full'
  return message
}

const busy = 9

/** Node's own `recursive` never returns where a folder that exists takes none, as below /proc. */
function makeFolder(dir: string): void {
  if (!existsSync(dirname(dir))) makeFolder(dirname(dir))
  try {
    mkdirSync(dir, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function openLock(dir: string, file: string): number {
  try {
    makeFolder(dir)
    return openSync(file, 'a+', 0o600)
  } catch (error) {
    throw new DataDirUnusable(dir, error as NodeJS.ErrnoException)
  }
}

/** Throws `DataDirUnusable`, or `DataDirInUse` while another process (or another hold in this one) has `dir`. */
export function holdDataDir(dir: string): DataDirHold {
  const file = join(dir, 'lock')
  const fd = openLock(dir, file)
  try {
    const locked = spawnSync('flock', ['--nonblock', '--conflict-exit-code', String(busy), '3'], {
      stdio: ['ignore', 'ignore', 'pipe', fd],
      encoding: 'utf8',
    })
    if (locked.status === busy) throw new DataDirInUse(dir, Number(readFileSync(file, 'utf8').trim()) || null)
    if (locked.error) throw new Error('the program `flock` is missing: install the package util-linux', { cause: locked.error })
    if (locked.status !== 0)
      throw new Error(`cannot lock ${file}: ${locked.stderr.trim() || `flock ended with ${locked.status}`}`)
    ftruncateSync(fd)
    writeSync(fd, `${process.pid}\n`)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  let held = true
  return {
    dir,
    release() {
      if (held) closeSync(fd)
      held = false
    },
  }
}
