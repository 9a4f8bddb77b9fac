/** Makes folders as `mkdir -p` does, but gives up: Node's recursive mkdir never returns inside a folder that has been removed. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

export function makeFolder(path: string, mode = 0o700): void {
  if (made(path, mode)) return
  if (dirname(path) !== path) makeFolder(dirname(path), mode)
  if (!made(path, mode)) throw new Error(`${path} cannot be made: the folder above it has been removed`)
}

/** False when the folder above is missing. */
function made(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode })
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST') return true
    if (code === 'ENOENT') return false
    throw cause
  }
}
