import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { connect } from '../driver/connect.ts'
import { type Identity, identitiesFor } from './identity.ts'
import { DataDirInUse, type EmbeddedPostgres, startEmbeddedPostgres } from './postgres.ts'

const module = fileURLToPath(new URL('./postgres.ts', import.meta.url))
const alive = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
const postmaster = (dir: string) => Number(readFileSync(join(dir, 'cluster/postmaster.pid'), 'utf8').split('\n')[0])
const gone = (pid: number) => vi.waitFor(() => expect(alive(pid)).toBe(false), { timeout: 30_000, interval: 20 })

async function query<T>(url: string, ask: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = connect(url, { max: 1 })
  try {
    return await ask(sql)
  } finally {
    await sql.end()
  }
}

/** A process that starts a server on `dir` and then only waits, as `npm start` does. */
async function starter(dir: string): Promise<{ child: ChildProcess; url: string }> {
  const code = `import { startEmbeddedPostgres } from ${JSON.stringify(module)}
    const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dir)} })
    console.log(server.url)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [url] = (await once(createInterface(child.stdout!), 'line')) as [string]
  return { child, url }
}

describe('embedded PostgreSQL', { timeout: 60_000 }, () => {
  // Closed to everyone else, as /root is.
  const home = mkdtempSync(join(tmpdir(), 'embedded-'))
  const dataDir = join(home, 'postgres')
  const running: EmbeddedPostgres[] = []
  const start = async (identities?: Identity[]) => {
    const server = await startEmbeddedPostgres({ dataDir, identities })
    running.push(server)
    return server
  }

  beforeAll(async () => {
    chmodSync(home, 0o700)
    const { url, stop } = await start()
    await query(url, sql => sql`create table kept (word text)`)
    await stop()
  }, 60_000)
  afterEach(async () => {
    for (const server of running.splice(0)) await server.stop()
  })
  afterAll(() => rmSync(home, { recursive: true, force: true }))

  it('keeps its promises about durability and who may connect', async () => {
    const { url } = await start()
    const shown = await query(url, async sql => {
      const all = await sql`select name, setting from pg_settings where name in
        ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses', 'unix_socket_directories')`
      return Object.fromEntries(all.map(row => [row.name, row.setting]))
    })
    expect(shown).toEqual({
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: `"${join(dataDir, 'cluster')}"`,
    })
    expect(Number(new URL(url).port)).toBeLessThan(32_768)
    const wrong = new URL(url)
    wrong.password = 'guess'
    await expect(query(wrong.href, sql => sql`select 1`)).rejects.toThrow(/password authentication failed/)
  })

  it('is there on a socket too, with the same password; a folder too deep for one has only the port', async () => {
    const { localUrl, stop } = await start()
    const [seen] = await query(localUrl, sql => sql`select inet_client_addr() as address, current_database() as database`)
    expect(seen).toEqual({ address: null, database: 'porthole' })
    await expect(query(localUrl.replace(/:[^:@]+@/, ':guess@'), sql => sql`select 1`)).rejects.toThrow(/password/)
    await stop()
    const deep = await startEmbeddedPostgres({ dataDir: join(home, 'deep'.repeat(30)), durable: false })
    running.push(deep)
    expect(deep.localUrl).toBe(deep.url)
    expect(await query(deep.localUrl, sql => sql`select 1`)).toHaveLength(1)
  })

  it('is the same database at the same address after a restart', async () => {
    const first = await start()
    await query(first.url, sql => sql`insert into kept values ('restart')`)
    await first.stop()
    const second = await start()
    expect(second.url).toBe(first.url)
    expect(await query(second.url, sql => sql`select word from kept where word = 'restart'`)).toHaveLength(1)
  })

  it('refuses a second server on the same folder, and names who has it', async () => {
    await start()
    const refusal = await startEmbeddedPostgres({ dataDir }).catch(error => error)
    expect(refusal).toBeInstanceOf(DataDirInUse)
    expect(refusal.message).toContain(`process ${process.pid}`)
  })

  it('ends when its starter is killed outright, and loses nothing that was committed', async () => {
    const { child, url } = await starter(dataDir)
    const server = postmaster(dataDir)
    await query(url, sql => sql`insert into kept values ('kill -9')`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    // At once, while the orphan may still be shutting down.
    const next = await start()
    expect(alive(server)).toBe(false)
    expect(await query(next.url, sql => sql`select word from kept where word = 'kill -9'`)).toHaveLength(1)
  })

  it('ends when the shell that guards it is killed', async () => {
    const server = await start()
    const pid = postmaster(dataDir)
    const guardian = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
    process.kill(guardian, 'SIGKILL')
    await server.ended
    await gone(pid)
  })

  it('tells when the server dies, and recovers from that', async () => {
    const server = await start()
    await query(server.url, sql => sql`insert into kept values ('crash')`)
    process.kill(postmaster(dataDir), 'SIGKILL')
    await server.ended
    const next = await start()
    expect(await query(next.url, sql => sql`select word from kept where word = 'crash'`)).toHaveLength(1)
  })

  it('is not fooled by a left-over postmaster.pid whose number a stranger has now', async () => {
    writeFileSync(join(dataDir, 'cluster/postmaster.pid'), `${process.pid}\n${dataDir}/cluster\n1700000000\n5432\n\n127.0.0.1\n`)
    const { url } = await start()
    expect(await query(url, sql => sql`select 1 as one`)).toEqual([{ one: 1 }])
  })

  it('takes another port when its own is taken, and remembers it', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const file = join(dataDir, 'access.json')
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), port }))
    try {
      const { url } = await start()
      expect(new URL(url).port).not.toBe(String(port))
      expect(JSON.parse(readFileSync(file, 'utf8')).port).toBe(Number(new URL(url).port))
    } finally {
      other.close()
    }
  })

  describe.runIf(process.getuid!() === 0)('started as root', () => {
    const [namespace, drop, dropOpen] = identitiesFor({ uid: 0, named: true })

    it.each([
      ['in a user namespace', namespace!],
      ['as nobody who may pass closed folders', dropOpen!],
      ['back in a user namespace, files and all', namespace!],
    ])('runs %s', async (_, identity) => {
      const server = await start([identity])
      expect(server.way).toBe(identity.way)
      const status = readFileSync(`/proc/${postmaster(dataDir)}/status`, 'utf8')
      expect(/^Uid:\s+(\d+)/m.exec(status)![1]).toBe(String(identity.owner))
      expect(await query(server.url, sql => sql`select count(*) > 0 as some from kept`)).toEqual([{ some: true }])
    })

    it('goes down the ladder when a way is closed', async () => {
      const denied: Identity = { ...namespace!, prefix: ['false'] }
      expect((await start([denied, drop!, dropOpen!])).way).toBe('drop+open')
    })

    it('says what to do when no way is open', async () => {
      await expect(start([drop!])).rejects.toThrow(/start as a normal user, or set DATABASE_URL/)
    })
  })
})
