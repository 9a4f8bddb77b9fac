/**
 * The whole app over a database of its own, with a stub tunnel: what a route's test needs and nothing else.
 *
 *   const api = await apiFixture()          // in beforeAll
 *   const token = await api.mint({ scopes: ['sessions:read'] })
 *   const { status, body } = await api.call('GET', '/v1/sessions', { token })
 *   await api.close()                       // in afterAll
 */
import { createHash } from 'node:crypto'
import { projects, type Quotas, tokens } from '#db/schema.ts'
import { createApp } from '../app.ts'
import type { Authenticator } from '../auth.ts'
import { ApiConfig } from '../config.ts'
import { type Ctx, runAtOnce, type Scope } from '../context.ts'
import { newId } from '../ids.ts'
import type { Platform } from '../platform.ts'
import type { Router } from '../route.ts'
import { mintUserToken } from '../tokens/format.ts'
import { type ScratchDatabase, scratchDatabase } from './scratch-database.ts'
import { StubTunnel } from './stub-tunnel.ts'

export interface Minted {
  token: string
  id: string
  project: string
  user: string
}
export interface MintOptions {
  project?: string
  user?: string
  scopes?: Scope[]
  /** null: never. */
  expiresAt?: Date | null
}
export interface CallOptions {
  /** A token, or what `mint` gave. */
  token?: string | Minted | undefined
  /** Sent as JSON unless it is a string. */
  body?: unknown
  headers?: Record<string, string> | undefined
}
export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
}

export interface ApiFixture extends ScratchDatabase {
  app: Router
  config: ApiConfig
  auth: Authenticator
  tunnel: StubTunnel
  logged: { level: string; event: string; fields: Record<string, unknown> }[]
  /** A project without limits unless told. */
  project(quotas?: Partial<Quotas>): Promise<string>
  mint(options?: MintOptions): Promise<Minted>
  /** An admin token (never expires) in a project of its own. */
  admin: Minted
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** Work that outlives its answer has ended. */
  settled(): Promise<void>
  /** A verb's context, acting as the token. */
  ctx(minted: Minted, scopes: Scope[]): Ctx
}

export const origin = 'http://porthole.test'

export async function apiFixture(settings: Partial<ApiConfig> = {}): Promise<ApiFixture> {
  const scratch = await scratchDatabase()
  const { db } = scratch
  const tunnel = new StubTunnel()
  const logged: ApiFixture['logged'] = []
  const log =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}) =>
      void logged.push({ level, event, fields })
  const deferred = new Set<Promise<unknown>>()
  const services = (address: string) => ({
    db,
    tunnel,
    sha256: (data: string | Uint8Array) => new Uint8Array(createHash('sha256').update(data).digest()),
    address,
    defer(work: Promise<unknown>) {
      const settled = work.catch(error => log('error')('deferred_failed', { message: String(error) }))
      deferred.add(settled)
      void settled.finally(() => deferred.delete(settled))
    },
  })
  const platform: Platform = {
    config: ApiConfig.parse({ version: '0.0.0-test', publicUrl: origin, secretsKeys: ['k'.repeat(43)], ...settings }),
    services: request => services(request.headers.get('x-test-address') ?? '192.0.2.1'),
    processFigures: () => ({
      platform: 'test',
      replica: 'rep_test',
      uptime_seconds: 1,
      memory_bytes: 1,
      cpu_seconds: 1,
      links: 0,
      streams: 0,
    }),
    log: { info: log('info'), warn: log('warn'), error: log('error') },
  }
  const { app, auth } = createApp(platform)

  const fixture: ApiFixture = {
    ...scratch,
    app,
    config: platform.config,
    auth,
    tunnel,
    logged,
    async project(quotas = {}) {
      const id = newId('prj')
      await db.insert(projects).values({ id, name: id, quotas: { ...unlimited, ...quotas } })
      return id
    },
    async mint(options = {}) {
      const project = options.project ?? (await fixture.project())
      const user = options.user ?? 'ann'
      const token = mintUserToken(project, user)
      const id = newId('tok')
      await db.insert(tokens).values({
        id,
        project_id: project,
        user_id: user,
        name: 'test',
        hash: new Uint8Array(createHash('sha256').update(token).digest()),
        last4: token.slice(-4),
        scopes: options.scopes ?? [],
        expires_at: options.expiresAt === undefined ? new Date(Date.now() + 3_600_000) : options.expiresAt,
      })
      return { token, id, project, user }
    },
    admin: undefined as never,
    async call(method, path, { token, body, headers } = {}) {
      const response = await app.request(`${origin}${path}`, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${typeof token === 'string' ? token : token.token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json') && text !== ''
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
    },
    ctx: (minted, scopes) => ({
      ...services('192.0.2.1'),
      config: platform.config,
      log: platform.log,
      requestId: newId('req'),
      origin,
      afterCommit: runAtOnce(platform.log),
      actor: {
        kind: 'token',
        token: minted.id,
        project: minted.project,
        user: minted.user,
        scopes,
        expiresAt: null,
        via: 'bearer',
      },
    }),
    async settled() {
      await Promise.all(deferred)
    },
    async close() {
      await Promise.all(deferred)
      await scratch.close()
    },
  }
  fixture.admin = await fixture.mint({ user: 'root', scopes: ['admin'], expiresAt: null })
  return fixture
}

const unlimited: Quotas = {
  max_sessions: null,
  max_cpu_millis: null,
  max_memory_bytes: null,
  max_storage_bytes: null,
  max_jobs: null,
  requests_per_minute: null,
}
