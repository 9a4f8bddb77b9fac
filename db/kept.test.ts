/** A kept statement goes where its handle goes: a transaction sees what it wrote itself, others do not. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase } from '../tests/database.ts'
import type { OpenDatabase, Sql } from './client.ts'
import { kept, keptSql, rowsOf } from './kept.ts'
import { projects } from './schema.ts'

let open: OpenDatabase
beforeAll(async () => {
  open = await openTestDatabase(3)
})
afterAll(() => open.close())

test('in a transaction, outside, and in several at once', async () => {
  let builds = 0
  const nameOf = kept((db: Sql) => {
    builds++
    return db
      .select({ name: projects.name })
      .from(projects)
      .where(eq(projects.id, sql.placeholder('id')))
      .prepare('project_name')
  })
  const { db } = open
  await db.transaction(async tx => {
    await tx.insert(projects).values({ id: 'prj_kept', name: 'inside', quotas: {} as never })
    expect(await nameOf(tx).execute({ id: 'prj_kept' })).toEqual([{ name: 'inside' }])
    expect(await nameOf(db).execute({ id: 'prj_kept' })).toEqual([])
    await expect(
      tx.transaction(async deeper => {
        await deeper.update(projects).set({ name: 'deeper' }).where(eq(projects.id, 'prj_kept'))
        expect(await nameOf(deeper).execute({ id: 'prj_kept' })).toEqual([{ name: 'deeper' }])
        throw new Error('back')
      }),
    ).rejects.toThrow('back')
  })
  expect(await nameOf(db).execute({ id: 'prj_kept' })).toEqual([{ name: 'inside' }])
  const many = await Promise.all(
    Array.from({ length: 10 }, (_, n) => db.transaction(tx => nameOf(tx).execute({ id: n % 2 ? 'prj_kept' : 'nobody' }))),
  )
  expect(many.map(rows => rows.length)).toEqual(Array.from({ length: 10 }, (_, n) => n % 2))
  expect(builds).toBe(1)
})

test('a text goes where its handle goes, in the order of the calls, and several selects are one statement', async () => {
  const { db } = open
  const rename = keptSql(sql`update projects set name = ${sql.placeholder('name')} where id = ${sql.placeholder('id')}`)
  const both = keptSql<{ names: { name: string; at: string; empty: object }[]; none: unknown[] }>(sql`
    select ${rowsOf(sql`select name, created_at as at, quotas as empty from projects where id = ${sql.placeholder('id')}`)} as names,
      ${rowsOf(sql`select id from projects where id = 'nobody'`)} as none`)
  await db.insert(projects).values({ id: 'prj_text', name: 'first', quotas: {} as never })
  await expect(
    db.transaction(async tx => {
      const [, [inside]] = await Promise.all([rename(tx, { id: 'prj_text', name: 'second' }), both(tx, { id: 'prj_text' })])
      expect(inside).toEqual({ names: [{ name: 'second', at: expect.any(String), empty: {} }], none: [] })
      expect(Math.abs(new Date(inside!.names[0]!.at).getTime() - Date.now())).toBeLessThan(3600_000)
      throw new Error('back')
    }),
  ).rejects.toThrow('back')
  expect((await both(db, { id: 'prj_text' }))[0]!.names[0]!.name).toBe('first')
  await expect(keptSql(sql`select 1 / 0`)(db)).rejects.toMatchObject({ code: '22012' })
})
