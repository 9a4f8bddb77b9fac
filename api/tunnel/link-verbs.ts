/** The verbs behind a control link, the same on every platform; `use` lends a database for one piece of work. */
import type { Db } from '#db/client.ts'
import type { ApiConfig } from '../config.ts'
import type { Log } from '../platform.ts'
import { desiredSince } from '../sessions/desired.ts'
import { applyReport } from '../sessions/observe.ts'
import { clusterForEvent } from './cluster-event.ts'
import type { LinkDeps } from './link-port.ts'
import type { ClusterEventView } from './link-store.ts'

export interface LinkVerbs {
  desired: LinkDeps['desired']
  report: LinkDeps['report']
  settled: LinkDeps['settled']
  clusterView: ClusterEventView
}

export interface LinkVerbsEnv {
  use<T>(work: (db: Db) => Promise<T>): Promise<T>
  /** What users reach the API by; asked late, for it may only be known once the server listens. */
  origin(): string
  /** There may be room now. */
  settled(): void
  config: ApiConfig
  log: Log
}

export function linkVerbs({ use, origin, settled, config, log }: LinkVerbsEnv): LinkVerbs {
  return {
    desired: (cluster, seq, limit) => use(db => desiredSince(db, cluster, seq, { limit, config })),
    report: report => use(db => applyReport({ db, log, origin: origin() }, report)),
    settled,
    clusterView: clusterForEvent,
  }
}
