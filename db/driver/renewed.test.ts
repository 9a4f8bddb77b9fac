/** Connections that are lost in the middle of work: everyone is told, nobody is told something else, and whoever comes next is answered. */
import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { testDatabase } from '../../tests/database.ts'
import { type OpenDatabase, openDatabase } from '../client.ts'
import { type Open, renewed } from './renewed.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let other: OpenDatabase
beforeAll(async () => {
  database = await testDatabase()
  other = openDatabase(database.url, { max: 2, applicationName: 'other' })
})
afterAll(async () => {
  await other?.close()
  await database?.drop()
})

const backend = async ({ db }: OpenDatabase) => (await db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`))[0]!.pid
const kill = (pid: number) => other.db.execute(sql`select pg_terminate_backend(${pid}, 10000)`).execute()
/** The connections of a name that the server has. */
const connections = async (name: string) =>
  (await other.db.execute(sql`select 1 from pg_stat_activity where application_name = ${name}`)).length

it('under load: each statement has its own answer or an error, and the next one is answered at once', async () => {
  for (let round = 0; round < 4; round++) {
    const one = openDatabase(database.url, { max: 1, applicationName: 'under load' })
    const outcomes: Promise<'answered' | 'refused'>[] = []
    let lost = false
    const ask = (again: boolean) => {
      const n = outcomes.length
      const asked = one.db.execute<{ n: number }>(sql`select ${n}::int as n`).then(
        rows => {
          expect([...rows]).toEqual([{ n }])
          return 'answered' as const
        },
        () => {
          lost = true
          // At once, while its socket is still closing: that made connections that never spoke again.
          if (again) ask(false)
          return 'refused' as const
        },
      )
      outcomes.push(asked)
    }
    const killed = kill(await backend(one))
    while (!lost) {
      await turn()
      ask(true)
    }
    await killed
    await vi.waitFor(async () => expect(await backend(one)).toBeGreaterThan(0))
    for (let n = 0; n < 5; n++) expect(await backend(one)).toBeGreaterThan(0)
    await one.close()
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['answered', 'refused']))
  }
})

it('the new client reads and writes as the old one did, listening goes on, and closing ends both', async () => {
  const one = openDatabase(database.url, { max: 3, applicationName: 'renewed' })
  const seen: string[] = []
  const { unlisten } = await one.client.listen('renewed', word => void seen.push(word))
  const day = () => one.db.execute(sql`select ${'2026-01-02'}::date as day, ${'{"a":1}'}::jsonb as json`)
  const before = [...(await day())]
  expect(before).toEqual([{ day: '2026-01-02', json: { a: 1 } }])

  // The old one ends only when what it began has ended.
  const over = Promise.withResolvers<void>()
  const long = one.db.transaction(async tx => {
    const [row] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    await over.promise
    const [now] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    return row!.pid === now!.pid
  })
  await kill(await backend(one))
  await vi.waitFor(async () => expect([...(await day())]).toEqual(before))
  expect(await one.client`select 1 as n`).toEqual([{ n: 1 }])
  over.resolve()
  expect(await long).toBe(true)

  await one.client.notify('renewed', 'heard')
  await vi.waitFor(() => expect(seen).toEqual(['heard']))
  await unlisten()
  await one.close()
  await vi.waitFor(async () => expect(await connections('renewed')).toBe(0), { timeout: 10_000, interval: 50 })
  await expect(one.db.execute(sql`select 1`)).rejects.toThrow()
})

it('a server that cannot be reached is dialled by the same client, which waits longer each time', async () => {
  const counted = (url: string) => {
    const opened = vi.fn<Open>(options => postgres(url, { max: 2, ...options }))
    const { current, end } = renewed(opened, () => () => {})
    const ask = async () => {
      const { sql, onexecute } = current()
      const [row] = await sql.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid', [], { onexecute } as object)
      return row!.pid
    }
    return { opened, ask, end }
  }
  const none = counted('postgres://nobody@127.0.0.1:1/none')
  for (let n = 0; n < 3; n++) await expect(none.ask()).rejects.toThrow()
  expect(none.opened).toHaveBeenCalledTimes(1)
  await none.end({ timeout: 1 })

  const lost = counted(database.url)
  await kill(await lost.ask())
  await vi.waitFor(() => expect(lost.opened).toHaveBeenCalledTimes(2))
  expect(await lost.ask()).toBeGreaterThan(0)
  await lost.end({ timeout: 1 })
  expect(lost.opened).toHaveBeenCalledTimes(2)
})
