/**
 * Statements that are put together once instead of for each use: for a wide table that costs more than the asking. Values that change are
 * `sql.placeholder`s. What drizzle calls prepared belongs to one connection or transaction; everything about it but that is the same for all.
 */
import { is, Placeholder, type SQL, sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import type postgres from 'postgres'
import type { Sql } from './client.ts'

interface Statement {
  execute(values?: Record<string, unknown>): Promise<unknown>
}

/** Of the query builder. */
export function kept<S extends Statement>(build: (db: Sql) => S): (db: Sql) => S {
  let first: S | null = null
  return db => {
    first ??= build(db)
    return Object.create(first, { client: { value: clientOf(db) } }) as S
  }
}

/** Of a text. Called, it is sent at once: what is called first is done first where both go to one transaction. Rows are as Postgres says them. */
export function keptSql<Row extends object>(text: SQL): (db: Sql, values?: Record<string, unknown>) => Promise<Row[]> {
  const { query, params } = eachOnce(new PgDialect().sqlToQuery(text))
  const given = params.map(each => (is(each, Placeholder) ? (values: Record<string, unknown>) => values[each.name] : () => each))
  return (db, values = {}) => {
    const filled = given.map(of => of(values)) as postgres.ParameterOrJSON<never>[]
    return clientOf(db).unsafe<Row[]>(query, filled).execute()
  }
}

/** A value that is named several times is sent, read and, where it is JSON, parsed once. */
function eachOnce({ sql: text, params }: { sql: string; params: unknown[] }): { query: string; params: unknown[] } {
  const once = [...new Set(params.map(nameOf))]
  const query = text.replaceAll(/\$(\d+)/g, (_, n) => `$${once.indexOf(nameOf(params[Number(n) - 1])) + 1}`)
  return { query, params: once.map(name => params.find(each => nameOf(each) === name)) }
}
const nameOf = (param: unknown) => (is(param, Placeholder) ? Symbol.for(param.name) : param)

/**
 * The rows of a select as one JSON list: several selects can so be one statement, which sees one moment. Times come as ISO 8601 text,
 * numbers of every kind as numbers.
 */
export function rowsOf(select: SQL): SQL {
  return sql`(select coalesce(json_agg(r), '[]') from (${select}) r)`
}

/** Where a handle sends its statements: the pool, or the connection of a transaction. drizzle has it, under a name it calls internal. */
function clientOf(db: Sql): Pick<postgres.Sql, 'unsafe'> {
  const { client } = (db as unknown as { session: { client?: postgres.Sql } }).session
  if (!client) throw new Error('this handle has no client')
  return client
}
