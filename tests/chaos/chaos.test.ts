/**
 * Three replicas behind a balancer, two agents, three tenants under load, and somebody who kills a replica (SIGKILL) every few seconds. Afterwards
 * the history is checked: invariants I1-I8, I11 and I12. `CHAOS_SECONDS` makes it longer.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { memoryStore, startAgent, type TestAgent } from '#agent/testing/agent-under-test.ts'
import { echoTarget, ScriptedRuntime } from '#agent/testing/scripted-runtime.ts'
import { newId } from '#api/ids.ts'
import { sha256 } from '#api/node/platform.ts'
import { mintUserToken } from '#api/tokens/format.ts'
import { type TestDatabase, testDatabase } from '../database.ts'
import { checkDatabase, History, watchDatabase } from './history.ts'
import { Balancer, Replica } from './replicas.ts'
import { call, keepWatching, Tenant, watch } from './tenant.ts'

const seconds = Number(process.env.CHAOS_SECONDS ?? 30)
const perProject = 4

let database: TestDatabase
let sql: postgres.Sql
let folder: string
let balancer: Balancer
const replicas: Replica[] = []
const agents: TestAgent[] = []
const runtimes: ScriptedRuntime[] = []
const keys = [memoryStore(), memoryStore()]
const history = new History()
const tenants: Tenant[] = []
let admin: string

beforeAll(async () => {
  database = await testDatabase()
  sql = postgres(database.url, { max: 3, onnotice: () => {} })
  folder = mkdtempSync(join(tmpdir(), 'porthole-chaos-'))
  const env = { DATABASE_URL: database.url, SECRETS_KEY: 'k'.repeat(43), DATABASE_POOL: '6' }
  for (let i = 0; i < 3; i++) replicas.push(new Replica({ ...env, DATA_DIR: join(folder, `r${i}`) }))
  for (const replica of replicas) await replica.start()
  balancer = await Balancer.start(replicas)
  admin = await token('prj_default', ['admin'])
  await watchDatabase(sql)
  for (let i = 0; i < 2; i++) {
    const made = await call(balancer.url, admin, 'POST', '/v1/clusters', { name: `c${i}` })
    history.secrets.add(made.body.enrollment.token)
    const runtime = new ScriptedRuntime()
    runtime.onDial = async () => echoTarget()
    runtimes.push(runtime)
    agents.push(
      startAgent({ origin: balancer.url, runtime, joinToken: made.body.enrollment.token, keyStore: keys[i]!, boot: `b${i}` }),
    )
  }
  for (let i = 0; i < 3; i++) {
    const project = `prj_t${i}`
    const quotas = {
      max_sessions: perProject,
      max_cpu_millis: null,
      max_memory_bytes: null,
      max_storage_bytes: null,
      max_jobs: null,
      requests_per_minute: 1_000_000,
    }
    await sql`insert into projects (id, name, quotas) values (${project}, ${project}, ${sql.json(quotas)})`
    tenants.push(new Tenant(balancer.url, project, await token(project), history))
  }
}, 120_000)

afterAll(async () => {
  for (const agent of agents) await agent.stop()
  await balancer?.stop()
  for (const replica of replicas) await replica.kill('SIGTERM')
  await sql?.end({ timeout: 3 })
  await database?.drop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

async function token(project: string, scopes = ['sessions:read', 'sessions:write', 'sessions:connect']): Promise<string> {
  const secret = mintUserToken(project, 'ann')
  history.secrets.add(secret)
  await sql`insert into tokens (id, project_id, user_id, name, hash, last4, scopes)
    values (${newId('tok')}, ${project}, 'ann', 'chaos', ${Buffer.from(sha256(secret))}, ${secret.slice(-4)}, ${scopes})`
  return secret
}

/** Kills at random, also two at once, but never the last; each comes back after a moment. When told to stop, all are up again. */
async function killer(signal: AbortSignal): Promise<number> {
  const restarts: Promise<void>[] = []
  while (!signal.aborted) {
    await delay(1_000 + Math.random() * 2_000)
    const up = replicas.filter(replica => replica.up)
    const victim = up[Math.floor(Math.random() * up.length)]
    if (up.length < 2 || !victim) continue
    await victim.kill()
    restarts.push(delay(Math.random() * 1_500).then(() => victim.start()))
  }
  await Promise.all(restarts)
  return restarts.length
}

/** A token of its own, a stream that flows, and then the token is revoked: how long bytes still come. */
async function revoker(signal: AbortSignal, session: string, project: string): Promise<void> {
  while (!signal.aborted) {
    const secret = await token(project)
    const stop = new AbortController()
    const watched = await watch(balancer.url, secret, session, stop.signal)
    if (watched) {
      const [row] = await sql<{ id: string }[]>`select id from tokens where hash = ${Buffer.from(sha256(secret))}`
      await call(balancer.url, admin, 'DELETE', `/v1/tokens/${row!.id}`)
      const at = Date.now()
      await Promise.race([watched.closed, delay(20_000)])
      history.afterRevocation.push(Math.max(0, watched.lastAt - at))
    }
    stop.abort()
    await delay(1_000)
  }
}

/** I4, seen from where the sessions are. */
async function deadlines(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const runtime of runtimes)
      for (const { session } of runtime.instances.values()) {
        const end = tenants.map(tenant => tenant.deadlines.get(session)).find(at => at !== undefined)
        if (end !== undefined && Date.now() > end + 10_000)
          history.faults.push(`I4: ${session} lives ${Date.now() - end} ms past its end`)
      }
    await delay(500)
  }
}

it('what was acknowledged holds, whoever dies', { timeout: (seconds + 150) * 1_000 }, async () => {
  const held = await Promise.all(tenants.map(tenant => tenant.create({ name: 'held' })))
  const stop = new AbortController()
  const { signal } = stop
  const work = [
    ...tenants.flatMap(tenant => [tenant.run(signal), tenant.run(signal)]),
    ...tenants.map((tenant, i) => keepWatching(balancer.url, tenant.token, held[i]!, history, signal)),
    revoker(signal, held[0]!, tenants[0]!.project),
    deadlines(signal),
  ]
  const kills = killer(signal)
  await delay(seconds * 1_000)
  stop.abort()
  const killed = await kills
  await Promise.all(work)

  // Everything comes to rest: what should run runs, and once all is deleted nothing is left anywhere.
  const states = () => sql<{ id: string; status: string; desired: string }[]>`select id, status, desired from sessions`
  await vi.waitFor(
    async () => expect((await states()).filter(row => ['queued', 'starting', 'stopping'].includes(row.status))).toEqual([]),
    { timeout: 60_000, interval: 500 },
  )
  const live = new Set(
    runtimes.flatMap(runtime => [...runtime.instances.values()].filter(i => i.phase === 'running').map(i => i.session)),
  )
  for (const row of await states())
    if (row.status === 'running' && !live.has(row.id)) history.faults.push(`I3: ${row.id} is said to run and does not`)
  for (const tenant of tenants)
    for (const { id } of (await call(balancer.url, tenant.token, 'GET', '/v1/sessions?limit=100')).body.data) {
      const { status } = await call(balancer.url, tenant.token, 'DELETE', `/v1/sessions/${id}`)
      if (status === 204) history.acked.push({ kind: 'delete', session: id, project: tenant.project, at: Date.now() })
    }
  await vi.waitFor(() => expect(runtimes.flatMap(runtime => [...runtime.instances.keys()])).toEqual([]), {
    timeout: 60_000,
    interval: 500,
  })
  await vi.waitFor(async () => expect((await states()).filter(row => row.desired === 'deleted')).toEqual([]), {
    timeout: 60_000,
    interval: 500,
  })

  const faults = [...history.faults, ...(await checkDatabase(sql, history))]
  for (const runtime of runtimes)
    if (runtime.mostAtOnce > 1) faults.push(`I2: ${runtime.mostAtOnce} instances of one session at once`)
  for (const ms of history.afterRevocation) if (ms > 15_000) faults.push(`I6: bytes ${ms} ms after the revocation`)
  const logs = [...replicas.map(replica => replica.said), ...agents.map(agent => agent.lines.join('\n'))].join('\n')
  const words = [
    ...history.secrets,
    ...keys.map(key => JSON.parse(key.text!).private_key?.d ?? 'none').filter(word => word !== 'none'),
  ]
  for (const secret of words) if (logs.includes(secret)) faults.push(`I12: a log holds a secret: ${secret.slice(0, 20)}…`)
  const worst = history.gaps.toSorted((a, b) => a - b)
  const at = (share: number) => worst[Math.min(worst.length - 1, Math.floor(worst.length * share))] ?? 0
  console.info(
    `chaos: ${killed} kills in ${seconds} s, ${history.answers} answers, ${history.acked.length} acknowledged changes, ${worst.length} streams cut and back (median ${at(0.5)} ms, p95 ${at(0.95)} ms, worst ${at(1)} ms), ${history.afterRevocation.length} revocations (worst ${Math.max(0, ...history.afterRevocation)} ms)`,
  )
  expect(faults).toEqual([])
  expect(killed).toBeGreaterThan(0)
  expect(history.acked.length).toBeGreaterThan(10)
  expect(at(0.95)).toBeLessThan(20_000)
})
