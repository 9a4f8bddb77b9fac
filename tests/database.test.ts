import postgres from 'postgres'
import { expect, it } from 'vitest'
import { testDatabase } from './database.ts'

it('gives each caller a migrated database of its own, and takes it away', async () => {
  const [one, two] = await Promise.all([testDatabase(), testDatabase()])
  const [first, second] = [postgres(one.url, { max: 1, onclose: () => {} }), postgres(two.url, { max: 1 })]
  await first`create table only_here (id int)`
  const tables = (sql: postgres.Sql) =>
    sql`select tablename from pg_tables where schemaname = 'public'`.then(rows => rows.map(row => row.tablename))
  expect(await tables(first)).toEqual(expect.arrayContaining(['sessions', 'only_here']))
  expect(await tables(second)).not.toContain('only_here')
  await one.drop()
  await expect(first`select 1`).rejects.toThrow()
  await two.drop()
  const gone = postgres(one.url, { max: 1 })
  await expect(gone`select 1`).rejects.toThrow(/does not exist/)
  await Promise.all([first, second, gone].map(sql => sql.end()))
})
