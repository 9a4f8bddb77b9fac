/**
 * Statements of the query builder, put together once instead of for each use: for a wide table that costs more than the asking. Values that change
 * are `sql.placeholder`s. What drizzle calls prepared belongs to one connection or transaction; everything about it but that is the same for all.
 */
import type { Sql } from './client.ts'

interface Statement {
  execute(values?: Record<string, unknown>): Promise<unknown>
}

export function kept<S extends Statement>(build: (db: Sql) => S): (db: Sql) => S {
  let first: S | null = null
  return db => {
    first ??= build(db)
    return Object.create(first, { client: { value: clientOf(db) } }) as S
  }
}

/** Where a handle sends its statements: the pool, or the connection of a transaction. drizzle has it, under a name it calls internal. */
function clientOf(db: Sql): object {
  const { client } = (db as unknown as { session: { client?: object } }).session
  if (!client) throw new Error('this handle has no client')
  return client
}
