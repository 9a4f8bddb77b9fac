/** The API as a process of its own: what its parent, its operator and its neighbours see. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { projects, replicas, templates, tokens } from '#db/schema.ts'
import { type TestDatabase, testDatabase } from '../../tests/database.ts'

let database: TestDatabase
let opened: OpenDatabase
let folder: string
const children = new Set<ChildProcess>()
beforeAll(async () => {
  database = await testDatabase()
  opened = openDatabase(database.url, { max: 2, applicationName: 'test' })
  folder = mkdtempSync(join(tmpdir(), 'porthole-main-'))
})
afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  children.clear()
})
afterAll(async () => {
  await opened?.close()
  await database?.drop()
  rmSync(folder, { recursive: true, force: true })
})

interface Api {
  child: ChildProcess
  url: string
  stderr: string[]
}
function launch(env: Record<string, string>): {
  child: ChildProcess
  first: Promise<{ type: string; url?: string; message?: string }>
  stderr: string[]
} {
  const child = fork(join(import.meta.dirname, 'main.ts'), {
    env: { PATH: process.env.PATH, PORT: '0', DATABASE_URL: database.url, DATA_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
  })
  children.add(child)
  const stderr: string[] = []
  child.stderr!.on('data', chunk => stderr.push(String(chunk)))
  return { child, first: once(child, 'message').then(([message]) => message), stderr }
}
async function start(env: Record<string, string> = {}): Promise<Api> {
  const { child, first, stderr } = launch(env)
  const message = await first
  expect(message, stderr.join('')).toMatchObject({ type: 'ready' })
  return { child, url: message.url!, stderr }
}
const token = (dir = folder) => readFileSync(join(dir, 'admin-token'), 'utf8').trim()
const me = (url: string, secret: string) =>
  fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${secret}` } }).then(answer => answer.status)
const ended = async ({ child }: Pick<Api, 'child'>) => {
  const began = performance.now()
  const [code] = await once(child, 'exit')
  return { code, ms: performance.now() - began }
}

describe('the process', { timeout: 180_000 }, () => {
  it('makes an empty database usable: a project, templates, a token in a private file that keeps working', async () => {
    const one = await start()
    expect(statSync(join(folder, 'admin-token')).mode & 0o777).toBe(0o600)
    expect(token()).toMatch(/^vnc-sk-proj-default-admin-/)
    expect(await me(one.url, token())).toBe(200)
    expect((await opened.db.select().from(templates)).length).toBeGreaterThan(0)
    const first = token()
    one.child.kill('SIGTERM')
    expect((await ended(one)).code).toBe(0)
    chmodSync(join(folder, 'admin-token'), 0o644)
    const two = await start()
    expect([token(), await me(two.url, first), statSync(join(folder, 'admin-token')).mode & 0o777]).toEqual([first, 200, 0o600])
    writeFileSync(join(folder, 'admin-token'), 'lost\n')
    two.child.kill('SIGINT')
    await ended(two)
    const three = await start()
    expect(token()).not.toBe(first)
    expect(await me(three.url, token())).toBe(200)
  })

  it('starts safely several times at once', async () => {
    const fresh = await testDatabase()
    const dirs = Array.from({ length: 3 }, () => mkdtempSync(join(tmpdir(), 'porthole-many-')))
    const apis = await Promise.all([...dirs, dirs[0]!].map(dir => start({ DATABASE_URL: fresh.url, DATA_DIR: dir })))
    for (const [i, dir] of dirs.entries()) expect(await me(apis[(i + 1) % 4]!.url, token(dir))).toBe(200)
    const { db, close } = openDatabase(fresh.url, { max: 1, applicationName: 'test' })
    expect(await db.select().from(projects)).toHaveLength(1)
    expect(await db.select().from(tokens)).toHaveLength(3)
    expect(await db.select().from(replicas)).toHaveLength(4)
    for (const { child } of apis) child.kill('SIGTERM')
    await Promise.all(apis.map(ended))
    expect(await db.select().from(replicas)).toHaveLength(0)
    await close()
    await fresh.drop()
    for (const dir of dirs) rmSync(dir, { recursive: true })
  })

  it('ends in moments also while somebody listens and somebody dawdles', async () => {
    const api = await start()
    const secret = token()
    const events = await fetch(`${api.url}/v1/events`, {
      headers: { authorization: `Bearer ${secret}`, accept: 'text/event-stream' },
    })
    expect(events.status).toBe(200)
    const listening = events.text().catch(() => 'cut')
    api.child.kill('SIGTERM')
    const { code, ms } = await ended(api)
    // Whoever listens for events does not hold it up: far less than the drain time, on a busy machine.
    expect([code, ms < 3_000]).toEqual([0, true])
    await listening
  })

  it('ends with its parent', async () => {
    const api = await start()
    api.child.disconnect()
    expect((await ended(api)).code).toBe(0)
  })

  it('says all that is wrong with its settings at once, and exits 1', async () => {
    const { child, first } = launch({ PORT: 'eighty', DATABASE_URL: 'mysql://x', PUBLIC_URL: 'ftp://x', REPLICA_URL: 'nowhere' })
    const exit = ended({ child })
    const { type, message } = await first
    expect(type).toBe('fatal')
    for (const name of ['PORT', 'DATABASE_URL', 'PUBLIC_URL', 'REPLICA_URL']) expect(message).toContain(name)
    expect((await exit).code).toBe(1)
  })

  it('says so when the port is taken or the database is not there', async () => {
    const { url } = await start()
    const taken = launch({ PORT: new URL(url).port })
    expect(await taken.first).toMatchObject({ type: 'fatal', message: expect.stringContaining('EADDRINUSE') })
    expect((await ended(taken)).code).toBe(1)
    const away = launch({ DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' })
    const { type, message } = await away.first
    expect([type, message]).toEqual(['fatal', expect.stringMatching(/DATABASE_URL cannot be used: .*ECONNREFUSED/)])
    expect(message).not.toContain('secret')
    expect((await ended(away)).code).toBe(1)
    expect(away.stderr.join('')).not.toContain('secret')
  })
})
