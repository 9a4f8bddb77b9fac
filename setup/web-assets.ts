/** The dashboard as files: built when it never was, or when its sources are not those it was built from. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { Told } from './config.ts'

const run = promisify(execFile)

export interface WebAssetsParts {
  root: string
  say(line: string): void
  signal: AbortSignal
}

/** A dashboard that cannot be built is said, and is no reason to go without the rest. */
export async function ensureWebAssets(parts: WebAssetsParts): Promise<void> {
  try {
    await buildWebAssets(parts)
  } catch (error) {
    if (!(error instanceof Told)) throw error
    parts.say(error.message)
  }
}

export async function buildWebAssets({ root, say, signal }: WebAssetsParts): Promise<void> {
  const web = join(root, 'web')
  const dist = join(web, 'dist')
  const sources = await hashSources(root)
  if ((await readFile(join(dist, '.sources'), 'utf8').catch(() => '')) === sources) return
  say('Building the dashboard (once, some seconds)')
  // Beside the old one, then swapped: whoever serves the old files must not see half of the new ones.
  const fresh = join(root, `node_modules/.porthole-web-${process.pid}`)
  try {
    const vite = join(root, 'node_modules/vite/bin/vite.js')
    await run(process.execPath, [vite, 'build', web, '--outDir', fresh, '--emptyOutDir', '--logLevel', 'warn'], {
      cwd: root,
      signal,
    })
    await writeFile(join(fresh, '.sources'), sources)
    await rm(dist, { recursive: true, force: true })
    await rename(fresh, dist)
  } catch (error) {
    signal.throwIfAborted()
    const { stderr, message } = error as Error & { stderr?: string }
    const lines = stripVTControlCharacters(stderr || message)
      .split('\n')
      .map(line => line.trim())
    // Coloured in some terminals and CIs; before the fault the bundler may warn of other things, on a slow machine of its own slowness.
    const told = lines.slice(lines.findIndex(line => /^error during build/i.test(line)) + 1)
    const fault = told.filter(line => line !== '' && !/\bbuild failed\b/i.test(line)).slice(0, 3)
    throw new Told(`Building the dashboard failed: ${fault.join(' | ')}`)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

/** Everything the build reads: web/, the wire types it imports, and the versions of its packages. */
async function hashSources(root: string): Promise<string> {
  const hash = createHash('sha256')
  const files = ['package-lock.json', ...(await listSources(root, 'web'))].sort()
  for (const file of files) {
    hash.update(`${file}\0`)
    hash.update(await readFile(join(root, file)))
  }
  return hash.digest('hex')
}

async function listSources(root: string, folder: string): Promise<string[]> {
  if (!existsSync(join(root, folder))) return []
  const entries = await readdir(join(root, folder), { withFileTypes: true })
  const nested = entries
    .filter(({ name }) => name !== 'node_modules' && !name.startsWith('dist'))
    .map(entry => {
      const path = `${folder}/${entry.name}`
      return entry.isDirectory() ? listSources(root, path) : entry.isFile() ? [path] : []
    })
  return (await Promise.all(nested)).flat()
}
