/** Opens Postgres. Node and Workers use the same client; only the pool size differs (Workers: one client a request). */
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type postgres from 'postgres'
import { connect } from './driver/connect.ts'
import { prepared } from './driver/prepared.ts'
import type { Open } from './driver/renewed.ts'
import * as schema from './schema.ts'

export type Db = PostgresJsDatabase<typeof schema>
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0]
/** Either: a verb that may run inside a caller's transaction takes this. */
export type Sql = Db | Tx

export interface OpenDatabase {
  db: Db
  /** For LISTEN and for statements drizzle cannot say. */
  client: postgres.Sql
  close(): Promise<void>
}

export interface DatabaseOptions {
  max: number
  applicationName: string
  /** Seconds after which an idle connection is let go; absent: kept. */
  idleSeconds?: number
  /** False where connections live for a request only, or are not ours: statements are not kept. */
  prepare?: boolean
}

/** `max`: connections; `fetch_types: false` saves a round trip on each connection (we have no array parameters of custom types). */
export function openDatabase(url: string, options: DatabaseOptions): OpenDatabase {
  const open: Open = more =>
    connect(url, {
      max: options.max,
      fetch_types: false,
      connect_timeout: 10,
      ...(options.idleSeconds === undefined ? {} : { idle_timeout: options.idleSeconds }),
      onnotice: () => {},
      connection: { application_name: options.applicationName },
      ...more,
    })
  const { prepare = true } = options
  const client = prepare ? prepared(open) : open({})
  return { db: drizzle(client, { schema }), client, close: () => client.end({ timeout: 3 }) }
}

/** One of a kind for each pool of connections, for as long as that lives. */
export function perPool<T>(make: () => T): (db: Sql) => T {
  const all = new WeakMap<Sql, T>()
  return db => {
    let found = all.get(db)
    if (found === undefined) all.set(db, (found = make()))
    return found
  }
}
