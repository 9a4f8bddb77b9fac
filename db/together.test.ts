/** Questions that meet share a statement, never an answer older than themselves, and never a transaction. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTestDatabase } from '../tests/database.ts'
import type { OpenDatabase, Sql } from './client.ts'
import { projects } from './schema.ts'
import { gathered, type Turns, textArray, together } from './together.ts'

let open: OpenDatabase
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
  open = await openTestDatabase(3)
  await open.db.insert(projects).values([...'abcde', odd].map(id => ({ id, name: `name of ${id}`, quotas: {} as never })))
})
afterAll(() => open.close())

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

/** Turns and time in hand; statements are answered by hand too. */
function byHand() {
  let now = 0
  const atEnd: (() => void)[] = []
  let alarms: { at: number; go: () => void }[] = []
  const turns: Turns = {
    now: () => now,
    soon: go => void atEnd.push(go),
    later(go, ms) {
      const alarm = { at: now + ms, go }
      alarms.push(alarm)
      return () => {
        alarms = alarms.filter(each => each !== alarm)
      }
    },
  }
  const statements: { keys: readonly string[]; answer: () => void }[] = []
  const read = gathered(async (_: Sql, keys) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    statements.push({ keys, answer: resolve })
    await promise
    return new Map(keys.map(key => [key, `value of ${key}`]))
  }, turns)
  return {
    turns,
    statements,
    alarms: () => alarms.length,
    ask: (...keys: string[]) => Promise.all(keys.map(key => read(open.db, key))),
    endTurn: () => {
      for (const go of atEnd.splice(0)) go()
    },
    pass(ms: number) {
      now += ms
      const due = alarms.filter(({ at }) => at <= now)
      alarms = alarms.filter(({ at }) => at > now)
      for (const { go } of due) go()
    },
    sent: () => statements.map(({ keys }) => keys.join('')),
  }
}

test('who comes in one turn goes together at its end, who comes meanwhile when that has been answered', async () => {
  const hand = byHand()
  const first = Promise.all([hand.ask('a'), hand.ask('b', 'a')])
  expect(hand.sent()).toEqual([])
  hand.endTurn()
  expect(hand.sent()).toEqual(['ab'])
  const second = hand.ask('c', 'd')
  hand.endTurn()
  expect(hand.sent()).toEqual(['ab'])
  hand.statements[0]!.answer()
  expect(await first).toEqual([['value of a'], ['value of b', 'value of a']])
  expect(hand.sent()).toEqual(['ab', 'cd'])
  hand.statements[1]!.answer()
  expect(await second).toEqual(['value of c', 'value of d'])
  expect(hand.alarms()).toBe(0)
})

test('a statement that stands still holds up nobody for longer than a few milliseconds', async () => {
  const hand = byHand()
  const stalled = hand.ask('a')
  hand.endTurn()
  const second = hand.ask('b')
  hand.pass(4)
  hand.endTurn()
  expect(hand.sent()).toEqual(['a'])
  const third = hand.ask('c')
  hand.pass(1)
  hand.endTurn()
  expect(hand.sent()).toEqual(['a', 'bc'])
  hand.statements[1]!.answer()
  await Promise.all([second, third])
  const fourth = hand.ask('d')
  hand.endTurn()
  expect(hand.sent()).toEqual(['a', 'bc', 'd'])
  hand.statements[2]!.answer()
  await fourth
  hand.statements[0]!.answer()
  expect(await stalled).toEqual(['value of a'])
  expect(hand.alarms()).toBe(0)
})

test('more than one statement takes: the rest waits no longer for the first than anybody', async () => {
  const hand = byHand()
  const keys = Array.from({ length: 130 }, (_, n) => `${n}`)
  const all = hand.ask(...keys)
  hand.endTurn()
  hand.pass(5)
  hand.endTurn()
  expect(hand.statements.map(each => each.keys.length)).toEqual([100, 30])
  for (const { answer } of hand.statements) answer()
  expect(await all).toEqual(keys.map(key => `value of ${key}`))
})

test('what nobody waits for is done at once, and then not more often than told', async () => {
  const hand = byHand()
  const done: string[][] = []
  const count = together<string, void>(
    {
      ...{ atOnce: 1, most: 10, restMs: 250 },
      async work(_, words) {
        done.push([...words])
        return words.map(() => ({ value: undefined }))
      },
    },
    hand.turns,
  )
  await count(open.db, 'a')
  expect(done).toEqual([['a']])
  const later = Promise.all([count(open.db, 'b'), count(open.db, 'c')])
  await vi.waitUntil(() => hand.alarms() === 1)
  expect(done).toEqual([['a']])
  hand.pass(250)
  await later
  expect(done).toEqual([['a'], ['b', 'c']])
})
