/** The clock of the installation: one object that does by alarm what timers do on Node. Cron wakes it should its alarm ever be lost. */
import { DurableObject } from 'cloudflare:workers'
import { sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { replicas } from '#db/schema.ts'
import { type PeriodicEnv, type PeriodicWork, periodicWork, useRoom as takeRoom } from '../periodic-work.ts'
import { clusterForEvent } from '../tunnel/cluster-event.ts'
import { closeForsakenGrants } from '../tunnel/grants.ts'
import { releaseSilentLinks } from '../tunnel/link-store.ts'
import { auditDays, type Bindings, edgeReplica, readBindings } from './bindings.ts'
import { LentDatabase } from './lent-database.ts'
import { edgeLog } from './log.ts'
import { EdgeTunnel } from './tunnel.ts'

/** As often as this; work that Node does more often comes less often here. */
const beatMs = 5_000
/** Longer than an object takes to say that its link is over. */
const silentMs = 90_000

const ownWork: readonly PeriodicWork[] = [
  { name: 'silent_links', everyMs: 60_000, run: ({ db }) => releaseSilentLinks(db, clusterForEvent, edgeReplica, silentMs) },
  { name: 'forsaken_grants', everyMs: 60_000, run: ({ db }) => closeForsakenGrants(db, edgeReplica) },
  { name: 'replica_beat', everyMs: 30_000, run: ({ db }) => beat(db) },
]

export class KeeperObject extends DurableObject<Bindings> {
  private readonly database: LentDatabase
  private readonly doneAt = new Map<string, number>()
  private readonly busy = new Set<string>()

  constructor(ctx: DurableObjectState, env: Bindings) {
    super(ctx, env)
    this.database = new LentDatabase(env.HYPERDRIVE.connectionString)
  }

  /** Called by cron and after every release. */
  async wake(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now())
  }

  /** Something ended: what waits may go now. */
  async roomCame(): Promise<void> {
    await this.with(env => takeRoom(env))
  }

  override async alarm(): Promise<void> {
    await this.ctx.storage.setAlarm(Date.now() + beatMs)
    const now = Date.now()
    await this.run([...periodicWork, ...ownWork].filter(({ name, everyMs }) => now - (this.doneAt.get(name) ?? 0) >= everyMs))
  }

  private async run(pieces: readonly PeriodicWork[]): Promise<void> {
    await this.with(async env => {
      for (const { name, run } of pieces) {
        if (this.busy.has(name)) continue
        this.busy.add(name)
        this.doneAt.set(name, Date.now())
        try {
          await run(env)
        } catch (error) {
          edgeLog.warn('timer_failed', { timer: name, message: String(error), cause: String((error as Error).cause ?? '') })
        } finally {
          this.busy.delete(name)
        }
      }
    })
  }

  private async with(work: (env: PeriodicEnv) => Promise<void>): Promise<void> {
    const bindings = this.env
    const config = readBindings(bindings)
    const defer = (later: Promise<unknown>) => this.ctx.waitUntil(later)
    await this.database.use(db => {
      const tunnel = new EdgeTunnel({ bindings, db, config, log: edgeLog, defer })
      return work({ db, tunnel, origin: config.publicUrl ?? '', log: edgeLog, ...auditDays(bindings) })
    })
  }
}

async function beat(db: Db): Promise<void> {
  await db
    .insert(replicas)
    .values({ id: edgeReplica, url: null })
    .onConflictDoUpdate({ target: replicas.id, set: { seen_at: sql`clock_timestamp()` } })
}
