/** Transactions that do not wait at their ends: all or nothing, alone on their connection, and nothing outside of them when that is lost. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { testDatabase } from '../../tests/database.ts'
import { type OpenDatabase, openDatabase, type Sql, type Tx } from '../client.ts'
import { committing } from './pipelined.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let two: OpenDatabase
beforeAll(async () => {
  database = await testDatabase()
  two = openDatabase(database.url, { max: 2, applicationName: 'pipelined' })
  await two.db.execute(sql`create table words (word text primary key)`)
})
beforeEach(async () => {
  await two.db.execute(sql`truncate words`)
})
afterAll(async () => {
  await two?.close()
  await database?.drop()
})

const write = (tx: Sql, word: string) => tx.execute(sql`insert into words values (${word})`).execute()
const words = async () => (await two.db.execute<{ word: string }>(sql`select word from words order by word`)).map(row => row.word)
const backend = async (tx: Tx) => (await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`))[0]!.pid

it('commits what its work wrote, and gives its result', async () => {
  expect(
    await two.db.transaction(async tx => {
      await write(tx, 'a')
      return 7
    }),
  ).toBe(7)
  expect(await words()).toEqual(['a'])
})

it('writes nothing when its work throws, or when a statement failed that nobody looked at', async () => {
  const thrown = two.db.transaction(async tx => {
    await write(tx, 'a')
    throw new Error('no')
  })
  await expect(thrown).rejects.toThrow('no')
  const hidden = two.db.transaction(async tx => {
    await write(tx, 'a')
    await write(tx, 'a').catch(() => {})
  })
  await expect(hidden).rejects.toMatchObject({ code: '23505' })
  expect(await words()).toEqual([])
})

it('sends its commit behind the last statements: all of them or none, and nothing after', async () => {
  await two.db.transaction(tx => Promise.all([write(tx, 'a'), write(tx, 'b'), committing(tx)]))
  expect(await words()).toEqual(['a', 'b'])
  const failed = two.db.transaction(tx => Promise.all([write(tx, 'c'), write(tx, 'a'), write(tx, 'd'), committing(tx)]))
  // Of the statement, or of the commit behind it: whichever is heard first.
  expect(await failed.catch(error => (error.cause ?? error).code)).toBe('23505')
  const late = two.db.transaction(async tx => {
    await Promise.all([write(tx, 'e'), committing(tx)])
    await write(tx, 'f')
  })
  await expect(late).rejects.toMatchObject({ cause: { message: 'this transaction has ended' } })
  expect(await words()).toEqual(['a', 'b', 'e'])
})

it('undoes a savepoint alone; its commit is not the transaction’s', async () => {
  await two.db.transaction(async tx => {
    await write(tx, 'a')
    const inner = tx.transaction(async deeper => {
      await write(deeper, 'b')
      await write(deeper, 'a')
    })
    await expect(inner).rejects.toMatchObject({ cause: { code: '23505' } })
    await tx.transaction(deeper => Promise.all([write(deeper, 'c'), committing(deeper)]))
    await write(tx, 'd')
  })
  expect(await words()).toEqual(['a', 'c', 'd'])
})

it('many on few connections: each alone on its own, for as long as it lasts', async () => {
  const one = async (n: number) => {
    const seen = await two.db.transaction(async tx => {
      const [first] = await Promise.all([backend(tx), write(tx, `${n}`)])
      await Promise.all(Array.from({ length: 3 }, () => two.db.execute(sql`select 1`)))
      const mine = await tx.execute<{ word: string }>(sql`select word from words where xmin = pg_current_xact_id()::xid`)
      return [first === (await backend(tx)), mine.map(row => row.word)]
    })
    expect(seen).toEqual([true, [`${n}`]])
  }
  // Each waits for statements outside of itself: one at a time leaves them the other connection.
  for (let n = 0; n < 20; n++) await one(n)
  const many = Array.from({ length: 40 }, (_, n) =>
    two.db.transaction(async tx => {
      const [first] = await Promise.all([backend(tx), write(tx, `m${n}`)])
      return (await backend(tx)) === first
    }),
  )
  expect(new Set(await Promise.all(many))).toEqual(new Set([true]))
  expect((await words()).length).toBe(60)
})

it.each(['between its statements', 'with statements under way'])(
  'a connection lost %s: nothing is written, then or later',
  async when => {
    const lost = two.db.transaction(async tx => {
      const pid = await backend(tx)
      await write(tx, 'a')
      const asleep = when === 'between its statements' ? null : tx.execute(sql`select pg_sleep(60)`).execute()
      asleep?.catch(() => {})
      await two.db.execute(sql`select pg_terminate_backend(${pid}, 10000)`)
      await expect
        .poll(
          () =>
            write(tx, 'b').then(
              () => 'sent',
              () => 'refused',
            ),
          { timeout: 30_000 },
        )
        .toBe('refused')
      await expect(write(tx, 'c')).rejects.toThrow()
      await tx.transaction(deeper => write(deeper, 'd')).catch(() => {})
      return committing(tx)
    })
    await expect(lost).rejects.toThrow()
    expect(await words()).toEqual([])
    for (const word of ['e', 'f', 'g']) await two.db.transaction(tx => write(tx, word))
    expect(await words()).toEqual(['e', 'f', 'g'])
  },
)

it('closing waits for the one that is under way', async () => {
  const own = openDatabase(database.url, { max: 1, applicationName: 'closing' })
  const begun = Promise.withResolvers<void>()
  const closing = Promise.withResolvers<void>()
  const work = own.db.transaction(async tx => {
    await write(tx, 'a')
    begun.resolve()
    await closing.promise
    await write(tx, 'b')
  })
  await begun.promise
  const closed = own.close()
  closing.resolve()
  await Promise.all([work, closed])
  expect(await words()).toEqual(['a', 'b'])
})

it('a server that is not there refuses', async () => {
  const none = openDatabase('postgres://nobody@127.0.0.1:1/none', { max: 1, applicationName: 'none' })
  await expect(none.db.transaction(tx => write(tx, 'a'))).rejects.toThrow()
  await none.close()
})
