/** Requests a second beside an empty app, what an idle stream and an idle link hold, and how it grows with rows. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type postgres from 'postgres'
import { WebSocket } from 'ws'
import { agentAudience } from '#protocol/agent-identity.ts'
import { linkSubprotocol } from '#protocol/link-messages.ts'
import { type Figure, interleaved, median, noiseOf, perSecond } from './figures.ts'
import { ask } from './http.ts'
import type { Options } from './options.ts'
import { Part } from './processes.ts'
import { onStage, type Stage } from './stage.ts'

const suite = 'scale'

export const requestSuite = (options: Options) =>
  onStage(async stage => {
    const { part: empty, ready } = await Part.begin<{ port: number }>('bench/parts/empty-hono.ts')
    try {
      return await requests(stage, `http://127.0.0.1:${ready.port}/`, options)
    } finally {
      await empty.end()
    }
  })
export const idleSuite = (options: Options) =>
  onStage(async (stage, database) => [...(await idleStreams(stage, options)), ...(await idleLinks(stage, database, options))])
export const growthSuite = (options: Options) => onStage((stage, database) => growth(stage, database, options))

async function requests(stage: Stage, emptyUrl: string, { rounds, scale, say }: Options): Promise<Figure[]> {
  say('scale: requests')
  const { token } = stage
  const count = Math.round(2_000 * scale)
  const rates = await interleaved(rounds, {
    me: () => perSecond(count, 16, () => ask(`${stage.url}/v1/me`, { token })),
    session: () => perSecond(count, 16, () => ask(`${stage.url}/v1/sessions/${stage.session}`, { token })),
    health: () => perSecond(count, 16, () => ask(`${stage.url}/health`)),
    empty: () => perSecond(count, 16, () => ask(emptyUrl)),
  })
  const figure = (name: string, way: 'me' | 'session' | 'health', than?: number): Figure => ({
    ...{ suite, name, unit: '/s', value: median(rates[way]), peer: { name: 'empty Hono', value: median(rates.empty) } },
    ...(than === undefined ? {} : { target: { is: 'at least' as const, than } }),
    noise: noiseOf(rates[way]),
  })
  return [
    figure('GET /health (no token, no query)', 'health'),
    figure('GET a session (token, one query)', 'session', 0.6),
    figure('GET /v1/me (token, several queries)', 'me'),
  ]
}

interface ApiState {
  memory: NodeJS.MemoryUsage
  resources: number
}

/** What is in use after a collection. Resident memory would hide it: what was freed before is used again. */
async function inUse(part: Part): Promise<number> {
  const { heapUsed, external } = (await part.ask<ApiState>({})).memory
  return heapUsed + external
}

async function idleStreams(stage: Stage, { scale, say }: Options): Promise<Figure[]> {
  const count = Math.round(200 * Math.min(1, Math.max(0.2, scale)))
  say(`scale: ${count} idle streams`)
  const open = () => Promise.all(Array.from({ length: count }, () => stage.stream()))
  // Once before, so that what is paid only once is not counted.
  for (const ws of await open()) ws.terminate()
  await new Promise(done => setTimeout(done, 2_000))
  const before = await inUse(stage.api)
  const sockets = await open()
  await new Promise(done => setTimeout(done, 1_000))
  const each = (await inUse(stage.api)) - before
  for (const ws of sockets) ws.terminate()
  return [
    {
      ...{ suite, name: 'memory of an idle stream in the API', unit: 'KB', value: Math.max(0, each) / count / 1024, peer: null },
      target: { is: 'at most', than: 25 },
    },
  ]
}

async function idleLinks(stage: Stage, database: postgres.Sql, { scale, say }: Options): Promise<Figure[]> {
  const count = Math.round(1_000 * Math.min(5, scale))
  say(`scale: ${count} idle agents' links`)
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const key = await exportJWK(publicKey)
  await database`
    insert into clusters (id, name, agent_id, agent_public_key)
    select 'clu_bench' || n, 'bench' || n, 'agt_bench' || n, ${database.json(key as never)} from generate_series(1, ${count}) n`
  const before = await inUse(stage.api)
  const links: WebSocket[] = []
  const dial = async (n: number) => {
    const id = `agt_bench${n}`
    const now = Math.floor(Date.now() / 1000)
    const jwt = await new SignJWT({ aud: agentAudience, iss: id, iat: now, exp: now + 60 })
      .setProtectedHeader({ alg: 'EdDSA', kid: id })
      .sign(privateKey)
    const ws = new WebSocket(`${stage.url.replace('http', 'ws')}/v1/agent/link`, linkSubprotocol, {
      ...{ headers: { authorization: `Bearer ${jwt}` }, perMessageDeflate: false },
    })
    ws.on('error', () => {})
    await new Promise<void>((done, fail) => {
      ws.once('open', () => ws.send(JSON.stringify(hello)))
      ws.once('unexpected-response', (_, answer) => fail(new Error(`link refused: ${answer.statusCode}`)))
      ws.on('message', text => {
        const { type } = JSON.parse(String(text)) as { type: string }
        if (type === 'snapshot') done()
        if (type === 'ping') ws.send('{"type":"pong"}')
      })
    })
    links.push(ws)
  }
  let next = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < count) await dial(++next)
    }),
  )
  const each = (await inUse(stage.api)) - before
  for (const ws of links) ws.terminate()
  return [
    {
      ...{ suite, name: "memory of an idle agent's link", unit: 'KB', value: Math.max(0, each) / count / 1024, peer: null },
      target: { is: 'at most', than: 15 },
    },
  ]
}

const hello = {
  ...{ type: 'hello', agent_version: '0', protocol: { min: 1, max: 1 }, boot: 'b', resume: null },
  capabilities: {
    ...{ runtime: 'local', kinds: ['app'], browsers: [], features: [], versions: {}, notes: [] },
    capacity: { sessions: 1, cpu_millis: null, memory_bytes: null },
  },
}

async function growth(stage: Stage, database: postgres.Sql, { rounds, scale, say }: Options): Promise<Figure[]> {
  const rows = Math.round(1_000_000 * scale)
  const measure = async () => {
    const list = () => stage.call('GET', '/v1/sessions?limit=20')
    const active = () => stage.call('GET', '/v1/sessions?status=active&limit=20')
    const get = () => stage.call('GET', `/v1/sessions/${stage.session}`)
    const time = (call: () => Promise<unknown>) => async () => {
      const began = performance.now()
      for (let n = 0; n < 10; n++) await call()
      return (performance.now() - began) / 10
    }
    return interleaved(rounds, {
      get: time(get),
      list: time(list),
      active: time(active),
      create: time(() => stage.call('POST', '/v1/sessions', { template: 'bench' })),
    })
  }
  say('scale: growth, few rows')
  const few = await measure()
  say(`scale: growth, ${rows} rows`)
  const columns = (await database`select column_name as name from information_schema.columns where table_name = 'sessions'`)
    .map(each => String(each.name))
    .filter(name => !['id', 'name', 'status', 'ended_at', 'desired', 'created_at', 'change_seq'].includes(name))
  const list = columns.map(name => `"${name}"`).join(', ')
  await database.unsafe(
    `insert into sessions (id, status, desired, ended_at, created_at, change_seq, ${list})
     select 'ses_old' || n, 'failed', 'stopped', now(), now() - n * interval '1 second', 0, ${list}
     from (select * from sessions where id = $1) s, generate_series(1, ${rows}) n`,
    [stage.session],
  )
  await database`analyze sessions`
  const many = await measure()
  return (['get', 'list', 'active', 'create'] as const).map(what => ({
    ...{
      suite,
      name: `${what}, ${rows.toLocaleString('en')} rows`,
      unit: 'ms',
      value: median(many[what]),
      noise: noiseOf(many[what]),
    },
    ...{ peer: { name: 'few rows', value: median(few[what]) }, target: { is: 'at most' as const, than: 1.5 } },
  }))
}
