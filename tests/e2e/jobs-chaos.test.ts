/**
 * Jobs while everything around them is killed: API, agent and PostgreSQL as real processes, real sandboxes, kill -9 at moments nobody chose. Each job
 * ends once, with its own result, and its log is what it wrote. `PORTHOLE_CHAOS_SECONDS` and `PORTHOLE_CHAOS_JOBS` make it longer.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { expectNoneLeft } from '#agent/runtimes/testing/left-over.ts'
import { sha256 } from '#api/node/platform.ts'
import { mintSecret } from '#api/tokens/format.ts'
import { openDatabase } from '#db/client.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { migrate } from '#db/migrate.ts'
import { clusters, enrollments } from '#db/schema.ts'

const root = resolve(import.meta.dirname, '../..')
const seconds = Number(process.env.PORTHOLE_CHAOS_SECONDS ?? 20)
const count = Number(process.env.PORTHOLE_CHAOS_JOBS ?? 12)
const folder = mkdtempSync(join(tmpdir(), 'porthole-chaos-'))

/** A program that is started again whenever it ends, as whatever keeps it in production does. */
class Phoenix {
  child!: ChildProcess
  /** That it was killed. */
  deaths = 0
  /** That it ended by itself. */
  falls = 0
  private wanted = true
  private readonly program: string
  private readonly env: Record<string, string>
  constructor(program: string, env: Record<string, string>) {
    this.program = program
    this.env = env
    this.rise()
  }
  kill(): void {
    this.deaths++
    const { child } = this
    this.rise()
    child.kill('SIGKILL')
  }
  async stop(): Promise<void> {
    this.wanted = false
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill('SIGTERM')
    await once(this.child, 'exit')
  }
  /** Megabytes. */
  rss(): number {
    const pages = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1])
    return Math.round(pages / 1024)
  }
  private rise(): void {
    const child = spawn(process.execPath, [join(root, this.program)], {
      cwd: root,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...this.env },
      stdio: ['ignore', 'ignore', process.env.PORTHOLE_CHAOS_LOG ? 'inherit' : 'ignore'],
    })
    this.child = child
    child.once('exit', () => {
      if (!this.wanted || child !== this.child) return
      this.falls++
      this.rise()
    })
  }
}

/** Its owner starts it again on the same address; what it had said yes to is there. */
class DatabaseServer {
  deaths = 0
  private server: Promise<EmbeddedPostgres>
  private readonly dataDir = join(folder, 'postgres')
  constructor() {
    this.server = this.rise()
  }
  url = async () => (await this.server).url
  async kill(): Promise<void> {
    const { ended, url } = await this.server
    this.deaths++
    process.kill(Number.parseInt(readFileSync(join(this.dataDir, 'cluster', 'postmaster.pid'), 'utf8'), 10), 'SIGKILL')
    await ended
    this.server = this.rise()
    expect(await this.url()).toBe(url)
  }
  stop = async () => (await this.server).stop()
  private rise = () => startEmbeddedPostgres({ dataDir: this.dataDir })
}

let api: Phoenix
let postgres: DatabaseServer
let agent: Phoenix
let url: string
let token: string

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

/** Asks until it is answered: the API may be dead at any moment. */
async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Response> {
  for (;;) {
    try {
      const answer = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
        ...(body ? { body: JSON.stringify(body) } : {}),
        signal: AbortSignal.timeout(20_000),
      })
      if (answer.status < 500 && answer.status !== 409) return answer
    } catch {
      // Nobody there just now.
    }
    await delay(150)
  }
}

interface Job {
  id: string
  status: string
  exit_code: number
  attempt: number
}
const create = async (body: object, key: string): Promise<Job> =>
  (await ask('POST', '/v1/jobs', { type: 'run', ...body }, { 'idempotency-key': key })).json() as Promise<Job>
const over = async (id: string, ms: number): Promise<Job> => {
  const until = performance.now() + ms
  for (;;) {
    const job = (await (await ask('GET', `/v1/jobs/${id}`)).json()) as Job
    if (['succeeded', 'failed', 'canceled'].includes(job.status)) return job
    if (performance.now() > until) throw new Error(`${id} does not end: ${JSON.stringify(job)}`)
    await delay(250)
  }
}

let database: ReturnType<typeof openDatabase>
beforeAll(async () => {
  postgres = new DatabaseServer()
  const databaseUrl = await postgres.url()
  await migrate(databaseUrl)
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  api = new Phoenix('api/node/main.ts', { PORT: String(port), DATABASE_URL: databaseUrl, DATA_DIR: join(folder, 'api') })
  while (
    !(await fetch(`${url}/ready`).then(
      answer => answer.ok,
      () => false,
    ))
  )
    await delay(100)
  token = readFileSync(join(folder, 'api/admin-token'), 'utf8').trim()
  database = openDatabase(databaseUrl, { max: 2, applicationName: 'test' })
  const join_token = mintSecret('join')
  await database.db.insert(clusters).values({ id: 'clu_chaos', name: 'chaos' })
  const expires_at = new Date(Date.now() + 600_000)
  await database.db
    .insert(enrollments)
    .values({ hash: sha256(join_token), cluster_id: 'clu_chaos', created_by: 'test', expires_at })
  agent = new Phoenix('agent/main.ts', {
    PORTHOLE_URL: url,
    PORTHOLE_JOIN_TOKEN: join_token,
    PORTHOLE_RUNTIME: 'local',
    PORTHOLE_MAX_JOBS: '6',
    DATA_DIR: join(folder, 'agent'),
  })
  const online = () =>
    fetch(`${url}/v1/clusters/clu_chaos`, { headers: { authorization: `Bearer ${token}` } }).then(answer => answer.json())
  while (((await online()) as { status: string }).status !== 'online') await delay(200)
}, 90_000)
afterAll(async () => {
  await agent?.stop()
  await api?.stop()
  await database?.close()
  await postgres?.stop()
  await expectNoneLeft(folder)
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

test(
  `${count} jobs, kill -9 of agent, API and PostgreSQL for ${seconds} s: each ends once, with its result and all of its log`,
  async () => {
    const lines = Math.max(20, seconds * 4)
    const program = (n: number) =>
      `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "job ${n} line $i"; sleep 0.05; done; exit ${n % 4}`
    const until = performance.now() + seconds * 1000
    const making = Promise.all(
      Array.from({ length: count }, (_, n) => create({ command: program(n), name: `j${n}` }, `job-${n}`)),
    )
    for (let round = 0; round < 6 || performance.now() < until; round++) {
      await delay(1_500 + ((round * 733) % 1_700))
      if (round % 3 === 0) agent.kill()
      else if (round % 3 === 1) api.kill()
      else await postgres.kill()
    }
    const made = await making
    expect(new Set(made.map(job => job.id)).size).toBe(count)
    for (const [n, { id }] of made.entries()) {
      const job = await over(id, 300_000)
      expect([n, job.status, job.exit_code, job.attempt]).toEqual([n, n % 4 === 0 ? 'succeeded' : 'failed', n % 4, 1])
      const expected = Array.from({ length: lines }, (_, i) => `job ${n} line ${i + 1}\n`).join('')
      // The status may come first where the output could not be brought within 15 s.
      const log = () => ask('GET', `/v1/jobs/${id}/logs`).then(answer => answer.text())
      await vi.waitUntil(async () => (await log()).length >= expected.length, { timeout: 60_000, interval: 500 }).catch(() => {})
      expect(await log()).toBe(expected)
    }
    const ends = await database.db.execute<{ id: string; n: number }>(
      `select data->'job'->>'id' as id, count(distinct data->'job'->>'ended_at')::int as n from events
     where type = 'job.updated' and data->'job'->>'status' in ('succeeded', 'failed') group by 1` as never,
    )
    expect(ends.map(({ n }) => n)).toEqual(Array.from({ length: count }, () => 1))
    expect(Math.min(agent.deaths, api.deaths, postgres.deaths)).toBeGreaterThanOrEqual(2)
    // The API needs its database while it starts: it may have had to try again. The agent needs nobody.
    expect(agent.falls).toBe(0)
  },
  600_000 + seconds * 1000,
)

test('yes, with a viewer that does not read: memory stays flat, and the log says what is missing', async () => {
  const flood = Number(process.env.PORTHOLE_CHAOS_SECONDS ?? 10)
  const { id } = await create({ command: 'exec yes', timeout_seconds: flood, grace_seconds: 0 }, 'flood')
  const leave = new AbortController()
  const viewer = await fetch(`${url}/v1/jobs/${id}/logs?follow`, {
    headers: { authorization: `Bearer ${token}` },
    signal: leave.signal,
  })
  expect(viewer.status).toBe(200)
  const flows = async () => (await (await ask('GET', `/v1/jobs/${id}/logs?tail_lines=1`)).text()).length > 0
  await vi.waitUntil(flows, { timeout: 60_000, interval: 200 })
  // Flat: the second half needs no more than the first did.
  const half = performance.now() + (flood * 1000) / 2
  const peaks = { first: [0, 0], second: [0, 0] }
  const watching = new AbortController()
  const watch = (async () => {
    while (!watching.signal.aborted) {
      const peak = performance.now() < half ? peaks.first : peaks.second
      for (const [at, mb] of [api.rss(), agent.rss()].entries()) peak[at] = Math.max(peak[at]!, mb)
      await delay(200)
    }
  })()
  const job = await over(id, 60_000 + flood * 1000)
  watching.abort()
  await watch
  expect(job).toMatchObject({ status: 'failed', cause: 'deadline' })
  const log = await (await fetch(`${url}/v1/jobs/${id}/logs`, { headers: { authorization: `Bearer ${token}` } })).text()
  expect(log).toMatch(/^y\ny\n/)
  expect(log).toMatch(/\[porthole: \d+ bytes of output not kept\]/)
  expect(log.length).toBeLessThan(10 * 2 ** 20)
  leave.abort()
  const [first, second] = [peaks.first, peaks.second]
  process.stderr.write(
    `flood of ${flood} s, peaks by half: API ${first[0]}, ${second[0]} MB; agent ${first[1]}, ${second[1]} MB\n`,
  )
  expect([second[0]! - first[0]! < 64, second[1]! - first[1]! < 48]).toEqual([true, true])
}, 200_000)
