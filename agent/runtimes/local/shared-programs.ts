/**
 * Programs that a session's user must read. Cloned under a strict umask they are readable by root alone: then sessions get copies, made once, in
 * the data folder.
 */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

const forOthers = 0o004

/** `path` itself when others may read it, else a copy that they may. */
export async function readableByOthers(dataDir: string, path: string): Promise<string> {
  const stamps = await stampsOf(path)
  if (stamps.every(each => (each.mode & forOthers) !== 0)) return path
  const root = join(dataDir, 'shared-programs')
  const copy = join(root, basename(path))
  const stamp = stamps.map(each => `${each.size}-${Math.round(each.mtimeMs)}`).join()
  if ((await readFile(`${copy}.stamp`, 'utf8').catch(() => '')) === stamp) return copy
  const half = `${copy}.${process.pid}`
  await mkdir(root, { recursive: true })
  await rm(half, { recursive: true, force: true })
  await cp(path, half, { recursive: true })
  await openUp(half)
  await rm(copy, { recursive: true, force: true })
  await rename(half, copy)
  await writeFile(`${copy}.stamp`, stamp)
  return copy
}

async function stampsOf(path: string) {
  const own = await stat(path)
  const names = own.isDirectory() ? await readdir(path) : []
  return [own, ...(await Promise.all(names.map(name => stat(join(path, name)))))]
}

async function openUp(path: string): Promise<void> {
  const { mode } = await stat(path)
  const folder = (mode & 0o170000) === 0o040000
  await chmod(path, folder || (mode & 0o100) !== 0 ? 0o755 : 0o644)
  if (folder) for (const name of await readdir(path)) await openUp(join(path, name))
}
