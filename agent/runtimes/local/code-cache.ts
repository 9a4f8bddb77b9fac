/**
 * Compiled code of the host program and Playwright, which saves a session a third of a second of start. It is made by one trusted run and shown
 * to sessions read-only: a session that could write it would write the next one's program.
 */
import { chmod, cp, lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface CodeCache {
  folder: string
  /** Node puts the user's number at the end of the name: it must be the reader's. */
  nameFor(uid: number): string
}

/** What it was made from: any change makes another. */
export async function codeCacheKey(hostProgram: string, playwright: string): Promise<string> {
  const folder = dirname(hostProgram)
  const changed = await Promise.all((await readdir(folder)).map(async name => (await stat(join(folder, name))).mtimeMs))
  return `${process.version}-${playwright}-${Math.round(Math.max(...changed))}`
}

export async function keptCodeCache(dataDir: string, key: string): Promise<CodeCache | null> {
  const root = join(dataDir, 'code-cache')
  for (const other of await readdir(root).catch(() => []))
    if (other !== key) await rm(join(root, other), { recursive: true, force: true })
  const [name] = await readdir(join(root, key)).catch(() => [])
  return name === undefined ? null : asCache(join(root, key, name), name)
}

/** Takes over what a trial run inside the walls has written. Other agents may do the same at the same time. */
export async function keepCodeCache(dataDir: string, key: string, made: string): Promise<CodeCache | null> {
  const [name] = await readdir(made)
  if (name === undefined) return null
  const root = join(dataDir, 'code-cache')
  await mkdir(root, { recursive: true })
  const half = join(root, `.${process.pid}-${key}`)
  await rm(half, { recursive: true, force: true })
  await cp(made, half, { recursive: true, dereference: false, filter: isPlain })
  for (const path of [half, join(half, name)]) await chmod(path, 0o755)
  for (const file of await readdir(join(half, name))) await chmod(join(half, name, file), 0o644)
  await rename(half, join(root, key)).catch(async cause => {
    await rm(half, { recursive: true, force: true })
    if (cause.code !== 'ENOTEMPTY' && cause.code !== 'EEXIST') throw cause
  })
  return await keptCodeCache(dataDir, key)
}

async function isPlain(path: string): Promise<boolean> {
  const facts = await lstat(path)
  return facts.isFile() || facts.isDirectory()
}

function asCache(folder: string, name: string): CodeCache {
  return { folder, nameFor: uid => name.replace(/-\d+$/, `-${uid}`) }
}
