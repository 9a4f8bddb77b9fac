/** One after the other go over one connection; many at once still have all of them, also after connections were lost. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTestDatabase } from '../../tests/database.ts'
import type { OpenDatabase, Sql } from '../client.ts'

let open: OpenDatabase
beforeAll(async () => {
  open = await openTestDatabase(4)
})
afterAll(() => open.close())

async function server(db: Sql = open.db): Promise<number> {
  const [row] = await db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
  return row!.pid
}

/** All connections, each held by a transaction until everybody has one, or somebody failed. */
async function allAtOnce(): Promise<Set<number>> {
  let here = 0
  const everybody = Promise.withResolvers<void>()
  everybody.promise.catch(() => {})
  const one = () =>
    open.db.transaction(async tx => {
      const pid = await server(tx)
      if (++here === 4) everybody.resolve()
      await everybody.promise
      return pid
    })
  const all = Array.from({ length: 4 }, () => one())
  for (const each of all) each.catch(everybody.reject)
  return new Set(await Promise.all(all))
}

async function oneAfterTheOther(count: number): Promise<number[]> {
  const pids: number[] = []
  for (let n = 0; n < count; n++) pids.push(n % 3 === 0 ? await open.db.transaction(tx => server(tx)) : await server())
  return pids
}

test('the connection that was used last is used again', async () => {
  const all = await allAtOnce()
  expect(all.size).toBe(4)
  const pids = await oneAfterTheOther(12)
  expect(new Set(pids).size).toBe(1)
  expect(await allAtOnce()).toEqual(all)

  for (const pid of all) await open.client`select pg_terminate_backend(${pid}) where ${pid} <> pg_backend_pid()`.catch(() => {})
  // A lost connection says so to the next statements.
  await vi.waitFor(async () => expect((await allAtOnce()).size).toBe(4), { timeout: 30_000, interval: 100 })
  expect(new Set(await oneAfterTheOther(12)).size).toBe(1)
  expect(await Promise.all(Array.from({ length: 200 }, () => server()))).toHaveLength(200)
})

test('also by a client that came while a transaction of the last one went on', async () => {
  const lost = [...(await allAtOnce())]
  const before = open.client.options
  await open.db.transaction(async tx => {
    const own = await server(tx)
    for (const pid of lost.filter(pid => pid !== own)) await tx.execute(sql`select pg_terminate_backend(${pid})`)
    await vi.waitFor(() => expect(open.client.options).not.toBe(before), { timeout: 30_000, interval: 10 })
    expect(await server(tx)).toBe(own)
  })
  expect((await allAtOnce()).size).toBe(4)
  expect(new Set(await oneAfterTheOther(12)).size).toBe(1)
})
