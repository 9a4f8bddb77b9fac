/** API, agent and target as processes of their own over a database of their own; everything is gone after `close`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type postgres from 'postgres'
import { WebSocket } from 'ws'
import { connect } from '#db/driver/connect.ts'
import { startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { delayedWay } from './delayed-way.ts'
import { ask } from './http.ts'
import { Part } from './processes.ts'

export interface Stage {
  url: string
  token: string
  databaseUrl: string
  api: Part
  agent: Part
  target: Part
  targetPort: number
  /** Where the target speaks first. */
  greeterPort: number
  /** A running session with that port. */
  session: string
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: any }>
  /** `origin`: another way to the API. */
  stream(port?: number, origin?: string): Promise<WebSocket>
  close(): Promise<void>
}

export interface StageOptions {
  startMs?: number
  places?: number
  /** The agent's network to the API is so many milliseconds long. */
  agentMs?: number
}

export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.reverse()) await step()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const database = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres') })
    undo.push(() => database.stop())
    const env = { DATABASE_URL: database.localUrl, DATA_DIR: join(folder, 'api') }
    const { part: api, ready } = await Part.begin<{ url: string; token: string }>('bench/parts/api.ts', [], env)
    undo.push(() => api.end())
    const { url, token } = ready
    const call: Stage['call'] = async (method, path, body) => {
      const { status, text } = await ask(url + path, { method, token, body })
      return { status, body: text === '' ? null : JSON.parse(text) }
    }
    const { part: target, ready: at } = await Part.begin<{ port: number; greeter: number }>('bench/parts/tcp-target.ts')
    undo.push(() => target.end())
    const made = await call('POST', '/v1/clusters', { name: 'bench' })
    let agentUrl = url
    if (options.agentMs) {
      const way = await delayedWay(Number(new URL(url).port), options.agentMs)
      undo.push(() => way.close())
      agentUrl = `http://127.0.0.1:${way.port}`
    }
    const { part: agent } = await Part.begin('bench/parts/bare-agent.ts', [], {
      ...{ PORTHOLE_URL: agentUrl, JOIN_TOKEN: made.body.enrollment.token },
      ...{ START_MS: String(options.startMs ?? 0), PLACES: String(options.places ?? 1000) },
    })
    undo.push(() => agent.end())
    const template = { kind: 'app', command: ['x'], ports: [at.port, at.greeter].map((port, n) => ({ name: `bench${n}`, port })) }
    await call('POST', '/v1/templates', { id: 'bench', name: 'bench', ...template })
    const session = (await running(call, { template: 'bench' })).id
    const stream = (port = at.port, origin = url) =>
      openSocket(`${origin.replace('http', 'ws')}/v1/sessions/${session}/ports/${port}`, token)
    const ports = { targetPort: at.port, greeterPort: at.greeter }
    return { url, token, databaseUrl: database.localUrl, api, agent, target, ...ports, session, call, stream, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function running(call: Stage['call'], body: object): Promise<{ id: string }> {
  const made = await call('POST', '/v1/sessions', body)
  for (;;) {
    const { body: now } = await call('GET', `/v1/sessions/${made.body.id}`)
    if (now.status === 'running') return now
    if (made.status > 201 || now.status === 'failed')
      throw new Error(`no session: ${JSON.stringify(made.body)} ${JSON.stringify(now)}`)
    await new Promise(done => setTimeout(done, 50))
  }
}

export function openSocket(url: string, token?: string, protocols: string[] = []): Promise<WebSocket> {
  const ws = new WebSocket(url, protocols, {
    perMessageDeflate: false,
    ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}),
  })
  return new Promise((opened, failed) => {
    ws.once('open', () => opened(ws))
    ws.once('error', failed)
    ws.once('unexpected-response', (_, answer) => failed(new Error(`refused: ${answer.statusCode}`)))
  })
}

/** With a database client beside it, and room for whatever comes. */
export async function onStage<T>(measure: (stage: Stage, database: postgres.Sql) => Promise<T>): Promise<T> {
  const stage = await openStage({ places: 100_000 })
  const database = connect(stage.databaseUrl, { max: 16, onnotice: () => {} })
  try {
    return await measure(stage, database)
  } finally {
    await database.end({ timeout: 2 })
    await stage.close()
  }
}
