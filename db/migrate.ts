/** Brings a database to this version's schema. Safe when several replicas start at once: one migrates, the others wait. */
import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate as run } from 'drizzle-orm/postgres-js/migrator'
import { connect } from './driver/connect.ts'

const folder = fileURLToPath(new URL('./migrations', import.meta.url))
/** Any fixed number: who holds this advisory lock migrates. Needs a direct connection, not a transaction pooler. */
const lock = 7_025_110_801

export async function migrate(url: string): Promise<void> {
  const client = connect(url, { max: 1, onnotice: () => {}, connect_timeout: 10 })
  try {
    await client`select pg_advisory_lock(${lock})`
    await run(drizzle(client), { migrationsFolder: folder })
  } finally {
    await client.end({ timeout: 3 })
  }
}
