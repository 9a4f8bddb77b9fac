/** The person's files over HTTP: everything under home, streamed, and nothing else. Names are normalised and links that lead out are refused. */
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { basename, dirname, join, posix, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { makeFolder } from './folders.ts'
import { Refusal } from './problem.ts'

export interface FileEntry {
  name: string
  type: 'file' | 'folder' | 'link' | 'other'
  size: number
  modified_at: string
}

export async function serveFile(home: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = await resolveInside(home, url.pathname.slice('/files'.length))
  if (request.method === 'GET' || request.method === 'HEAD') return await read(path, request, response)
  if (path === (await realpath(home))) throw new Refusal(409, 'conflict', 'the home folder itself cannot be replaced or removed')
  if (request.method === 'PUT') return await write(home, path, request, response)
  if (request.method === 'DELETE') return await remove(path, response)
  throw new Refusal(405, 'method_not_allowed', 'files can be read (GET), written (PUT) and removed (DELETE)')
}

/** Absolute path of what a request names; the last part need not exist. */
export async function resolveInside(home: string, encoded: string): Promise<string> {
  let name: string
  try {
    name = decodeURIComponent(encoded)
  } catch {
    throw new Refusal(400, 'invalid', 'the path is not valid percent-encoding')
  }
  if (name.includes('\0')) throw new Refusal(400, 'invalid', 'a path cannot contain a zero byte')
  const parts = name.split('/').filter(part => part !== '' && part !== '.')
  if (parts.includes('..')) throw new Refusal(400, 'invalid', 'a path cannot contain ".."')
  const root = await realpath(home)
  let there = join(root, posix.join('/', ...parts))
  const missing: string[] = []
  for (;;) {
    const real = await realpath(there).catch(() => null)
    if (real !== null) {
      if (real !== root && !real.startsWith(root + sep))
        throw new Refusal(403, 'forbidden', 'this link leads out of the home folder')
      return join(real, ...missing)
    }
    // A link to nowhere would be followed by a write.
    if (await lstat(there).catch(() => null)) {
      if ((await lstat(there)).isSymbolicLink()) throw new Refusal(403, 'forbidden', 'this link leads nowhere')
    }
    missing.unshift(basename(there))
    there = dirname(there)
  }
}

async function read(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const facts = await stat(path)
  const modified = { 'last-modified': facts.mtime.toUTCString() }
  if (facts.isDirectory()) {
    const body = JSON.stringify({ entries: await list(path) })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...modified })
    response.end(request.method === 'HEAD' ? undefined : body)
    return
  }
  if (!facts.isFile()) throw new Refusal(409, 'conflict', 'this is neither a file nor a folder')
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': facts.size, ...modified })
  if (request.method === 'HEAD' || facts.size === 0) response.end()
  // Not past the size that was promised: the file may be growing.
  else await pipeline(createReadStream(path, { end: facts.size - 1 }), response)
}

async function list(folder: string): Promise<FileEntry[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const shown = await Promise.all(
    entries.map(async entry => {
      const facts = await lstat(join(folder, entry.name)).catch(() => null)
      if (!facts) return null
      const type = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'link' : 'other'
      return { name: entry.name, type, size: facts.size, modified_at: facts.mtime.toISOString() } satisfies FileEntry
    }),
  )
  return shown.filter(entry => entry !== null).sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function write(home: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const before = await stat(path).catch(() => null)
  if (before?.isDirectory()) throw new Refusal(409, 'conflict', 'there is a folder of this name')
  makeFolder(dirname(path), 0o755)
  const half = join(await realpath(home), `.upload-${randomBytes(6).toString('hex')}`)
  try {
    await pipeline(request, createWriteStream(half, { flags: 'wx', mode: 0o644 }))
    await rename(half, path)
  } catch (cause) {
    await rm(half, { force: true })
    if ((cause as NodeJS.ErrnoException).code === 'ENOTDIR') throw new Refusal(409, 'conflict', 'a part of this path is a file')
    throw cause
  }
  const body = JSON.stringify({ name: basename(path), type: 'file', size: (await stat(path)).size })
  response.writeHead(before ? 200 : 201, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

async function remove(path: string, response: ServerResponse): Promise<void> {
  await lstat(path)
  await rm(path, { recursive: true })
  response.writeHead(204)
  response.end()
}
