import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Told } from './config.ts'
import { buildWebAssets, ensureWebAssets } from './web-assets.ts'

const { signal } = new AbortController()
let root: string
let said: string[]
const ensure = () => ensureWebAssets({ root, say: line => said.push(line), signal })
const page = (title: string) => writeFileSync(join(root, 'web/index.html'), `<!doctype html><title>${title}</title>`)
const built = () => readFileSync(join(root, 'web/dist/index.html'), 'utf8')

beforeEach(() => {
  said = []
  root = mkdtempSync(join(tmpdir(), 'web-'))
  for (const dir of ['web', 'node_modules']) mkdirSync(join(root, dir))
  symlinkSync(join(import.meta.dirname, '../node_modules/vite'), join(root, 'node_modules/vite'))
  writeFileSync(join(root, 'package-lock.json'), '{}')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

it('builds once, and again when a source or a version changed', async () => {
  page('one')
  await ensure()
  expect(built()).toContain('one')
  await ensure()
  expect(said).toHaveLength(1)
  page('two')
  await ensure()
  expect(built()).toContain('two')
  writeFileSync(join(root, 'package-lock.json'), '{"lockfileVersion":3}')
  await ensure()
  expect(said).toHaveLength(3)
})

it('keeps the old files when the build fails, and says why', async () => {
  page('one')
  await ensure()
  writeFileSync(join(root, 'web/index.html'), '<script type="module" src="/absent.ts"></script>')
  const fault = await buildWebAssets({ root, say() {}, signal }).catch(error => error)
  expect(fault).toBeInstanceOf(Told)
  expect(fault.message).toContain('absent.ts')
  await ensure()
  expect(said.at(-1)).toBe(fault.message)
  expect(built()).toContain('one')
  expect(existsSync(join(root, `node_modules/.porthole-web-${process.pid}`))).toBe(false)
})
