/** The platform of Workers: one app for each isolate, one database client for each request. */
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import type { ApiConfig } from '../config.ts'
import type { Log, Platform, Services } from '../platform.ts'
import { type Bindings, edgeReplica } from './bindings.ts'
import { sha256 } from './sha256.ts'
import { EdgeTunnel } from './tunnel.ts'

/** A request's own: a socket may not be used on behalf of another one. */
const connections = 5
/** A request may wait long (upgrades, `Prefer: wait`, events): meanwhile others need the connection more. */
const idleSeconds = 0.25

/** Everything one request uses, made for it and let go with it. */
export class RequestScope {
  readonly services: Services
  private readonly database: OpenDatabase
  private readonly deferred: Promise<unknown>[] = []

  constructor(
    request: Request,
    bindings: Bindings,
    env: { config: ApiConfig; log: Log; waitUntil(work: Promise<unknown>): void },
  ) {
    const { config, log, waitUntil } = env
    this.database = openDatabase(bindings.HYPERDRIVE.connectionString, {
      max: connections,
      applicationName: 'porthole-edge',
      idleSeconds,
      prepare: false,
    })
    const { db } = this.database
    const defer = (work: Promise<unknown>) => {
      const settled = work.catch(error => log.warn('deferred_failed', { message: String(error) }))
      this.deferred.push(settled)
      waitUntil(settled)
    }
    this.services = {
      db,
      tunnel: new EdgeTunnel({ bindings, db, config, log, defer }),
      sha256,
      // Cloudflare writes it; what a client claims is replaced.
      address: request.headers.get('cf-connecting-ip') ?? '',
      defer,
    }
  }

  /** Lets the database go once nothing can need it; an answer that still streams keeps it until the platform ends the request. */
  async close(response: Response): Promise<void> {
    while (this.deferred.length > 0) await this.deferred.shift()
    const streams = response.body !== null && !response.headers.get('content-type')?.includes('json')
    if (!streams) await this.database.close()
  }
}

export function workersPlatform(config: ApiConfig, log: Log): Platform {
  const startedAt = Date.now()
  return {
    config,
    log,
    services: (_request, scope) => (scope as RequestScope).services,
    processFigures: () => ({
      platform: 'workers',
      replica: edgeReplica,
      uptime_seconds: Math.round((Date.now() - startedAt) / 1000),
      memory_bytes: null,
      cpu_seconds: null,
      // Objects hold them, not this isolate.
      links: 0,
      streams: 0,
    }),
  }
}
