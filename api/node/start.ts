/** Puts the API together on Node and starts it; `close` takes it apart in the opposite order. Used by main.ts and by tests. */
import { mkdirSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDatabase } from '#db/client.ts'
import { startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { migrate } from '#db/migrate.ts'
import { createApp } from '../app.ts'
import type { Authenticator } from '../auth.ts'
import { newId } from '../ids.ts'
import { type PeriodicEnv, periodicWork, useRoom } from '../periodic-work.ts'
import type { Log } from '../platform.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { releaseLinksOfDeadReplicas } from '../tunnel/link-store.ts'
import { type LinkVerbs, linkVerbs } from '../tunnel/link-verbs.ts'
import { Assets } from './assets.ts'
import { bootstrap, peerSecret, secretsKeys } from './bootstrap.ts'
import { clientAddress } from './client-address.ts'
import type { NodeSettings } from './config.ts'
import { Peers, peerPath } from './peers.ts'
import { Deferred, nodePlatform, sha256 } from './platform.ts'
import { type HttpServer, httpServer, type NodeEnv } from './server.ts'
import { Timers } from './timers.ts'
import { NodeTunnel } from './tunnel.ts'

const builtDashboard = fileURLToPath(new URL('../../web/dist', import.meta.url))
/** A replica that has not beaten for this long is dead. */
const deadAfterMs = 30_000
const drainMs = 3_000

export interface RunningApi {
  url: string
  replica: string
  adminToken: { token: string; made: boolean; file: string }
  tunnel: NodeTunnel
  /** Ends everything, in about 3 s at most. */
  close(): Promise<void>
}

export async function startApi(settings: NodeSettings, log: Log, webFolder = builtDashboard): Promise<RunningApi> {
  const undo: (() => Promise<void>)[] = []
  const close = once(async () => {
    for (const step of undo.reverse()) await step().catch(error => log.warn('shutdown_step_failed', { message: String(error) }))
  })
  try {
    return { ...(await assemble(settings, log, undo, webFolder)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function assemble(
  settings: NodeSettings,
  log: Log,
  undo: (() => Promise<void>)[],
  webFolder: string,
): Promise<Omit<RunningApi, 'close'>> {
  const dataDir = resolve(settings.dataDir)
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const databaseUrl = settings.databaseUrl ?? (await embedded(dataDir, log, undo))
  await migrate(databaseUrl).catch((cause: Error) => {
    throw settings.databaseUrl ? new Error(`The database of DATABASE_URL cannot be used: ${cause.message}`, { cause }) : cause
  })
  const database = openDatabase(databaseUrl, { max: settings.databasePool, applicationName: 'porthole-api' })
  undo.push(() => database.close())
  const { db } = database
  const replica = newId('rep')
  const adminToken = await bootstrap({ db, dataDir, sha256 })
  const config = { ...settings.api, secretsKeys: await secretsKeys({ db, dataDir }, settings.api.secretsKeys, log) }
  await loadBuiltinTemplates(db)

  const peers = new Peers({ database, replica, secret: await peerSecret(db), log })
  const deferred = new Deferred(log)
  undo.push(() => deferred.settled())
  const now = () => performance.now()
  let origin = config.publicUrl ?? ''
  const verbs = linkVerbs({
    use: work => work(db),
    origin: () => origin,
    settled: () => deferred.add(useRoom({ db, tunnel, origin })),
    config,
    log,
  })
  const tunnel = new NodeTunnel({ db, replica, peers, config, verbs, sha256, log, now })
  const figures = () => ({ replica, links: tunnel.links.size, streams: tunnel.streams.size })
  const addressOf = clientAddress(settings.trustedProxies)
  const { app, auth } = createApp(nodePlatform({ config, db, tunnel, addressOf, deferred, figures, log }))

  const assets = new Assets(webFolder)
  const http = httpServer({ fetch: front(app, assets, peers, tunnel), upgrades: tunnel.upgrades, log })
  const { server } = http
  undo.push(() => shutDown(http, tunnel))
  // Known before the first agent can come: a link of an unknown replica counts as dead.
  await peers.beat()
  await listen(server, settings)
  const url = urlOf(server, settings.host)
  origin ||= url

  // Port 0 is one that the kernel chose.
  const replicaUrl = settings.replicaUrl?.replace(/:0(?=\/|$)/, `:${new URL(url).port}`) ?? null
  await peers.start(replicaUrl, cluster =>
    deferred.add(Promise.resolve(tunnel.links.has(cluster) ? tunnel.nudge(cluster) : undefined)),
  )
  undo.push(() => peers.stop())
  const timers = new Timers(log)
  startTimers(timers, {
    tunnel,
    peers,
    auth,
    work: { db, tunnel, origin, log, auditDays: settings.auditDays },
    clusterView: verbs.clusterView,
  })
  undo.push(() => timers.stop())
  log.info('api_started', { url, replica, version: config.version, replica_url: replicaUrl })
  return { url, replica, adminToken, tunnel }
}

async function embedded(dataDir: string, log: Log, undo: (() => Promise<void>)[]): Promise<string> {
  const server = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), log: line => log.info('postgres', { line }) })
  undo.push(() => server.stop())
  return server.localUrl
}

/** The peers' door and the dashboard's files stand before the app. */
function front(
  app: { fetch(request: Request, env: NodeEnv): Response | Promise<Response> },
  assets: Assets,
  peers: Peers,
  tunnel: NodeTunnel,
) {
  return (request: Request, env: NodeEnv): Response | Promise<Response> => {
    const path = env.incoming.url ?? '/'
    if (path.startsWith('/v1/')) return app.fetch(request, env)
    if (path === peerPath) return peers.answer(request, message => tunnel.fromPeer(message))
    const file = env.incoming.headers.upgrade ? null : assets.answer(request)
    file?.headers.set('x-request-id', newId('req'))
    return file ?? app.fetch(request, env)
  }
}

interface TimedParts {
  tunnel: NodeTunnel
  peers: Peers
  auth: Authenticator
  work: PeriodicEnv
  clusterView: LinkVerbs['clusterView']
}

function startTimers(timers: Timers, { tunnel, peers, auth, work, clusterView }: TimedParts): void {
  const { links, streams } = tunnel
  timers.every(1_000, 'link_tick', () => links.tick())
  timers.every(2_000, 'link_poll', () => links.poll())
  timers.every(10_000, 'link_seen', () => links.markSeen())
  timers.every(5_000, 'stream_check', () => streams.check())
  timers.every(5_000, 'grant_sweep', () => streams.sweep())
  timers.every(5_000, 'role_sweep', () => tunnel.recheckHere())
  timers.every(30_000, 'grant_renew', () => tunnel.renew())
  timers.every(60_000, 'grant_lost', () => streams.sweepLost())
  timers.every(10_000, 'replica_beat', () => peers.beat())
  timers.every(15_000, 'replica_dead', async () => {
    await releaseLinksOfDeadReplicas(work.db, clusterView, deadAfterMs)
    await peers.forgetDead()
  })
  timers.every(60_000, 'token_uses', () => auth.flushUses(work))
  for (const { name, everyMs, run } of periodicWork) timers.every(everyMs, name, () => run(work))
}

async function listen(server: Server, { port, host }: NodeSettings): Promise<void> {
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      listening()
    })
  })
}

/** What a person on this machine types. */
function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  return `http://${shown}:${port}`
}

/** Agents are asked to dial elsewhere, viewers told, answers under way get a moment. */
async function shutDown(http: HttpServer, tunnel: NodeTunnel): Promise<void> {
  tunnel.links.goAway()
  tunnel.streams.endAll('going_away')
  await http.close(drainMs)
  await tunnel.links.settled()
  await tunnel.streams.settled()
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null
  return () => (running ??= work())
}
