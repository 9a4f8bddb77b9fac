/** The API as it runs on Node, over a database of its own, with what a tunnel's test needs: clusters, running sessions, tokens, viewers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ClientOptions, WebSocket } from 'ws'
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { clusters, enrollments, sessions } from '#db/schema.ts'
import { testDatabase } from '../../tests/database.ts'
import { newId } from '../ids.ts'
import { readSettings } from '../node/config.ts'
import { jsonLog } from '../node/log.ts'
import { sha256 } from '../node/platform.ts'
import { type RunningApi, startApi } from '../node/start.ts'
import { mintSecret } from '../tokens/format.ts'
import { FakeAgent } from './fake-agent.ts'

export interface NodeApi extends RunningApi {
  db: OpenDatabase['db']
  databaseUrl: string
  admin: string
  lines: string[]
  /** Another replica on the same database, at an address of its own. */
  replicaOf(): Promise<RunningApi>
  /** A new cluster with an enrolled agent. */
  agent(): Promise<FakeAgent>
  /** A session that Postgres says is running on that cluster. */
  session(cluster: string, spec?: Record<string, unknown>): Promise<string>
  viewer(path: string, options?: ViewerOptions): Viewer
}

export interface ViewerOptions extends ClientOptions {
  protocols?: string[]
  origin?: string
  token?: string
}

export interface Viewer {
  ws: WebSocket
  /** Rejects with the problem that was answered instead of the upgrade. */
  open: Promise<WebSocket>
  closed: Promise<{ code: number; reason: string }>
}

export class Refusal extends Error {
  readonly status: number
  readonly body: { code: string; detail: string; status: number; request_id: string }
  readonly headers: Record<string, string | string[] | undefined>
  constructor(status: number, text: string, headers: Refusal['headers']) {
    super(`${status} ${text}`)
    this.status = status
    this.body = JSON.parse(text)
    this.headers = headers
  }
}

export async function nodeApi(change: { env?: Record<string, string>; meetingMs?: number } = {}): Promise<NodeApi> {
  const { url: databaseUrl, drop } = await testDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'porthole-api-'))
  const lines: string[] = []
  const replicas: RunningApi[] = []
  const start = async (env: Record<string, string>) => {
    const settings = readSettings(
      { PORT: '0', REPLICA_URL: 'http://127.0.0.1:0', DATABASE_URL: databaseUrl, DATA_DIR: folder, ...change.env, ...env },
      '0.0.0-test',
    )
    if (change.meetingMs) settings.api.meetingMs = change.meetingMs
    const api = await startApi(
      settings,
      jsonLog(line => lines.push(line)),
    )
    replicas.push(api)
    return api
  }
  const api = await start({})
  const { db, close: closeDb } = openDatabase(databaseUrl, { max: 4, applicationName: 'test' })
  const admin = api.adminToken.token

  return {
    ...api,
    db,
    databaseUrl,
    admin,
    lines,
    replicaOf: () => start({}),
    async agent() {
      const cluster = newId('clu')
      const joinToken = mintSecret('join')
      await db.insert(clusters).values({ id: cluster, name: cluster })
      await db.insert(enrollments).values({
        hash: sha256(joinToken),
        cluster_id: cluster,
        created_by: 'test',
        expires_at: new Date(Date.now() + 60_000),
      })
      return FakeAgent.enroll(api.url, joinToken)
    },
    async session(cluster, spec = {}) {
      const id = newId('ses')
      await db.insert(sessions).values({
        id,
        project_id: 'prj_default',
        user_id: 'admin',
        created_by: 'test',
        template_id: 'chromium',
        cluster_id: cluster,
        spec: { ...plainSpec, ...spec } as never,
        status: 'running',
        change_seq: 1,
      })
      return id
    },
    viewer: (path, options = {}) => viewer(api.url, path, { token: admin, ...options }),
    async close() {
      for (const replica of replicas) await replica.close()
      await closeDb()
      await drop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export function viewer(url: string, path: string, { protocols = [], token, headers, ...options }: ViewerOptions): Viewer {
  const ws = new WebSocket(url.replace(/^http/, 'ws') + path, protocols, {
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    ...options,
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
  })
  const open = new Promise<WebSocket>((opened, failed) => {
    ws.once('open', () => opened(ws))
    ws.once('error', failed)
    ws.once('unexpected-response', async (_, answer) => {
      let text = ''
      for await (const chunk of answer) text += chunk
      failed(new Refusal(answer.statusCode ?? 0, text, answer.headers))
      ws.terminate()
    })
  })
  open.catch(() => {})
  ws.on('error', () => {})
  const closed = new Promise<{ code: number; reason: string }>(done =>
    ws.once('close', (code, reason) => done({ code, reason: reason.toString() })),
  )
  return { ws, open, closed }
}

const plainSpec = {
  kind: 'browser',
  template: 'chromium',
  project: 'prj_default',
  user: 'admin',
  name: null,
  browser: 'chromium',
  headless: false,
  display: { width: 1280, height: 800 },
  start_url_wait: 'none',
  env: {},
  labels: {},
  limits: {},
  requests: {},
  ports: [{ name: 'web', port: 3000 }],
  restart: 'never',
  start_timeout_ms: 60_000,
  clipboard: 'both',
  egress: { mode: 'public', allow: [] },
  recording: false,
}
