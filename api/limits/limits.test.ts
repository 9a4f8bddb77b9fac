import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ApiFixture, apiFixture } from '../testing/api-fixture.ts'
import { figures, sweepRates, takeFromRate } from './gcra.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 10_000, loginsPerMinute: 5 })
})
afterAll(() => api?.close())

/** Moves a key's clock: as if so much time had passed. */
const pass = (key: string, ms: number) =>
  api.db.execute(sql`update rate_limits set tat = tat - ${ms}::float8 * interval '1 millisecond' where key = ${key}`)

describe('GCRA in one statement', () => {
  it('60 racers against a rate of 2: exactly 2', async () => {
    // Room comes back every 30 s, the race is shorter on any machine.
    const taken = await Promise.all(Array.from({ length: 60 }, () => takeFromRate(api.db, 'race', { perMinute: 2 })))
    const admitted = taken.filter(t => t.admitted)
    expect(admitted).toHaveLength(2)
    for (const refused of taken.filter(t => !t.admitted)) {
      expect(refused.remaining).toBe(0)
      expect(refused.retrySeconds).toBeGreaterThanOrEqual(1)
      expect(refused.retrySeconds).toBeLessThanOrEqual(30)
    }
  })

  it('counts down, refuses, gives one back after one interval, all after the window', async () => {
    const take = () => takeFromRate(api.db, 'steps', { perMinute: 4 })
    const down = [await take(), await take(), await take(), await take()]
    expect(down.map(t => t.admitted)).toEqual([true, true, true, true])
    expect(down.map(t => t.remaining)).toEqual([3, 2, 1, 0])
    expect(await take()).toMatchObject({ admitted: false, remaining: 0, limit: 4, resetSeconds: 60, retrySeconds: 15 })
    await pass('steps', 15_000)
    expect((await take()).admitted).toBe(true)
    expect((await take()).admitted).toBe(false)
    await pass('steps', 3_600_000)
    expect(await take()).toMatchObject({ admitted: true, remaining: 3 })
  })

  it('refusals cost nothing', async () => {
    const take = () => takeFromRate(api.db, 'free', { perMinute: 2 })
    for (let i = 0; i < 2; i++) await take()
    for (let i = 0; i < 50; i++) expect((await take()).admitted).toBe(false)
    await pass('free', 30_000)
    expect((await take()).admitted).toBe(true)
  })

  it('keys do not meet, and those at rest are swept', async () => {
    await takeFromRate(api.db, 'a', { perMinute: 1 })
    expect((await takeFromRate(api.db, 'a', { perMinute: 1 })).admitted).toBe(false)
    expect((await takeFromRate(api.db, "a' or 'b", { perMinute: 1 })).admitted).toBe(true)
    await pass('a', 120_000)
    await sweepRates(api.db)
    const left = await api.db.execute(sql`select key from rate_limits where key in ('a', ${"a' or 'b"})`)
    expect(left.map(row => row.key)).toEqual(["a' or 'b"])
  })

  it('the table is unlogged', async () => {
    const [row] = await api.db.execute(sql`select relpersistence as kind from pg_class where relname = 'rate_limits'`)
    expect(row!.kind).toBe('u')
  })

  it('figures: what is left never exceeds the limit, and waiting as told is enough', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0, max: 60_000, noNaN: true }), (limit, ahead) => {
        const told = figures(false, limit, ahead)
        const cost = 60_000 / limit
        const after = Math.max(0, ahead - told.retrySeconds * 1000)
        const left = figures(true, limit, ahead).remaining
        return after + cost <= 60_000 + 1e-6 && left >= 0 && left <= limit && told.resetSeconds <= 60
      }),
    )
  })
})

describe('on routes', () => {
  it('a project’s own rate is told in honest headers and refused with Retry-After; another project is not touched', async () => {
    const project = await api.project({ requests_per_minute: 3 })
    const token = await api.mint({ project, scopes: ['sessions:write', 'sessions:read', 'tokens'] })
    const post = () => api.call('POST', '/v1/tokens', { token, body: { name: 'x' } })
    const remaining: (string | null)[] = []
    for (let i = 0; i < 3; i++) {
      const answer = await post()
      expect(answer.status).toBe(201)
      expect(answer.headers.get('ratelimit-limit')).toBe('3')
      remaining.push(answer.headers.get('ratelimit-remaining'))
    }
    expect(remaining).toEqual(['2', '1', '0'])
    const refused = await post()
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(20)
    expect(refused.headers.get('ratelimit-remaining')).toBe('0')
    expect(refused.headers.get('ratelimit-reset')).toBe('60')
    const other = await api.mint({ scopes: ['tokens'] })
    expect((await api.call('POST', '/v1/tokens', { token: other, body: { name: 'x' } })).status).toBe(201)
    // Reading, and ending a session, are never refused by a limit.
    expect((await api.call('GET', '/v1/tokens', { token })).status).toBe(200)
    expect((await api.call('POST', '/v1/sessions/ses_none/stop', { token })).status).toBe(404)
    expect((await api.call('DELETE', '/v1/sessions/ses_none', { token })).status).toBe(404)
  })

  it('who lacks the scope does not use up the project’s rate', async () => {
    const project = await api.project({ requests_per_minute: 1 })
    const weak = await api.mint({ project, scopes: [] })
    const token = await api.mint({ project, scopes: ['tokens'] })
    for (let i = 0; i < 3; i++)
      expect((await api.call('POST', '/v1/tokens', { token: weak, body: { name: 'x' } })).status).toBe(403)
    expect((await api.call('POST', '/v1/tokens', { token, body: { name: 'x' } })).status).toBe(201)
  })

  it('logins are limited by address', async () => {
    const login = (address: string) =>
      api.call('POST', '/v1/auth/login', { body: { token: 'x' }, headers: { 'x-test-address': address } })
    for (let i = 0; i < 5; i++) expect((await login('198.51.100.1')).status).toBe(401)
    expect((await login('198.51.100.1')).status).toBe(429)
    expect((await login('198.51.100.2')).status).toBe(401)
  })

  it('without the database it is closed with 503, not open', async () => {
    const lost = await apiFixture()
    await lost.db.execute(sql`drop table rate_limits`)
    const answer = await lost.call('POST', '/v1/tokens', { token: lost.admin, body: { name: 'x' } })
    expect(answer.status).toBeGreaterThanOrEqual(500)
    await lost.close()
  })
})
