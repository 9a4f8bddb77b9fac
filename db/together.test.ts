/** Questions that meet share a statement, never an answer older than themselves, and never a transaction. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { testDatabase } from '../tests/database.ts'
import { type OpenDatabase, openDatabase, type Sql } from './client.ts'
import { projects } from './schema.ts'
import { gathered, textArray } from './together.ts'

let open: OpenDatabase
let drop: () => Promise<void>
const asked: number[] = []
const nameOf = gathered(async (db, ids) => {
  asked.push(ids.length)
  const rows = await db.execute<{ id: string; name: string }>(
    sql`select id, name from projects where id = any(${textArray(ids)}::text[])`,
  )
  return new Map(rows.map(row => [row.id, row.name]))
})
const odd = 'a "quoted", {braced} \\ one'
beforeAll(async () => {
  const made = await testDatabase()
  drop = made.drop
  open = openDatabase(made.url, { max: 3, applicationName: 'test' })
  await open.db.insert(projects).values([...'abcde', odd].map(id => ({ id, name: `name of ${id}`, quotas: {} as never })))
})
afterAll(async () => {
  await open.close()
  await drop()
})

test('many at once are few statements, each gets its own', async () => {
  asked.length = 0
  const ids = Array.from({ length: 200 }, (_, n) => ['a', 'b', odd, 'nobody'][n % 4]!)
  const names = await Promise.all(ids.map(id => nameOf(open.db, id)))
  expect(names).toEqual(ids.map(id => (id === 'nobody' ? undefined : `name of ${id}`)))
  expect(asked.length).toBeLessThan(10)
})

test('a transaction reads for itself', async () => {
  await open.db.transaction(async tx => {
    await tx.update(projects).set({ name: 'inside' }).where(sql`id = 'a'`)
    expect(await Promise.all([nameOf(tx, 'a'), nameOf(open.db, 'a'), nameOf(tx, 'b')])).toEqual([
      'inside',
      'name of a',
      'name of b',
    ])
  })
  expect(await nameOf(open.db, 'a')).toBe('inside')
})

test('what was written before the question is in the answer, however busy it is', async () => {
  const busy = new AbortController()
  const noise = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (!busy.signal.aborted) await nameOf(open.db, 'c')
    }),
  )
  for (let n = 0; n < 30; n++) {
    await open.db
      .update(projects)
      .set({ name: `version ${n}` })
      .where(sql`id = 'c'`)
    expect(await nameOf(open.db, 'c')).toBe(`version ${n}`)
  }
  busy.abort()
  await noise
})

test('a failure is told to those of its statement only', async () => {
  let fails = true
  const once = gathered(async (_: Sql, keys) => {
    if (fails) throw new Error('lost')
    return new Map(keys.map(key => [key, key]))
  })
  const first = await Promise.allSettled([once(open.db, 'x'), once(open.db, 'y')])
  expect(first.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  fails = false
  expect(await once(open.db, 'x')).toBe('x')
})
