import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sweepStale } from './retention.ts'
import { type ApiFixture, apiFixture } from './testing/api-fixture.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture()
})
afterAll(() => api?.close())

it('takes what is over and leaves what is not', async () => {
  const { token, id, project } = await api.mint()
  const cluster = (await api.call('POST', '/v1/clusters', { token: api.admin, body: { name: 'c' } })).body.id
  await api.db.execute(sql`delete from enrollments`)
  await api.db.execute(sql`delete from rate_limits`)
  const ages = { over: sql`clock_timestamp() - interval '30 days'`, live: sql`clock_timestamp() + interval '1 hour'` }
  for (const [word, at] of Object.entries(ages)) {
    const digest = sql`sha256(${word}::bytea)`
    await api.db.execute(sql`insert into rate_limits values (${word}, ${at})`)
    await api.db.execute(sql`insert into idempotency_keys (project_id, route, key, request_hash, created_at)
      values (${project}, 'r', ${word}, ${digest}, ${at})`)
    await api.db.execute(sql`insert into web_sessions (hash, token_id, expires_at, idle_expires_at)
      values (${digest}, ${id}, ${ages.live}, ${at})`)
    await api.db.execute(sql`insert into enrollments (hash, cluster_id, created_by, expires_at)
      values (${digest}, ${cluster}, ${id}, ${at})`)
  }
  await Promise.all([sweepStale(api.db), sweepStale(api.db)])
  const [left] = await api.db.execute(sql`select
    (select json_agg(key) from rate_limits) as rates, (select json_agg(key) from idempotency_keys) as keys,
    (select count(*)::int from web_sessions) as logins, (select count(*)::int from enrollments) as enrollments`)
  expect(left).toEqual({ rates: ['live'], keys: ['live'], logins: 1, enrollments: 1 })
  expect((await api.call('GET', '/v1/me', { token })).status).toBe(200)
})
