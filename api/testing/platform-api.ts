/** What a test of either platform needs around a running API: clusters with agents, running sessions, viewers. */
import { type ClientOptions, WebSocket } from 'ws'
import type { OpenDatabase } from '#db/client.ts'
import { clusters, enrollments, sessions } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { sha256 } from '../node/platform.ts'
import { mintSecret } from '../tokens/format.ts'
import { FakeAgent } from './fake-agent.ts'

/** An upgrade is held so long in these tests: enough for a hundred at once on a busy machine, little enough to wait for once. */
export const meetingMs = 4_000

export interface PlatformApi {
  /** Largest message that viewers and agents may send each other, bytes. */
  maxMessage: number
  url: string
  db: OpenDatabase['db']
  databaseUrl: string
  admin: string
  lines: string[]
  /** A new cluster with an enrolled agent. */
  agent(): Promise<FakeAgent>
  /** A session that Postgres says is running on that cluster. */
  session(cluster: string, spec?: Record<string, unknown>): Promise<string>
  viewer(path: string, options?: ViewerOptions): Viewer
  close(): Promise<void>
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

export function surroundings(api: Pick<PlatformApi, 'url' | 'db' | 'admin'>): Pick<PlatformApi, 'agent' | 'session' | 'viewer'> {
  const { url, db, admin } = api
  return {
    async agent() {
      const cluster = newId('clu')
      const joinToken = mintSecret('join')
      // The number that the sessions below have.
      await db.insert(clusters).values({ id: cluster, name: cluster, seq: 1 })
      await db.insert(enrollments).values({
        hash: sha256(joinToken),
        cluster_id: cluster,
        created_by: 'test',
        expires_at: new Date(Date.now() + 60_000),
      })
      return FakeAgent.enroll(url, joinToken)
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
    viewer: (path, options = {}) => viewer(url, path, { token: admin, ...options }),
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
