/** No question about sessions looks at all of them, however many have ended: what Postgres means to do, asked with 100,000 rows. */
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { desiredSince } from './desired.ts'
import { placeQueued } from './place.ts'
import { sweepSessions } from './sweep.ts'

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  Plans?: Plan[]
}

const rows = 100_000
let api: ApiFixture
let cluster: FakeCluster
let token: Minted
let living: string
let client: postgres.Sql
const asked: { query: string; params: unknown[] }[] = []

beforeAll(async () => {
  api = await apiFixture()
  client = postgres(api.url, { max: 1, onnotice() {} })
  await loadBuiltinTemplates(api.db)
  cluster = await new FakeCluster(api).connect()
  token = await api.mint({ scopes: ['sessions:read', 'sessions:write'] })
  const made = await create()
  living = made.body.id
  const same = (await client`select column_name as name from information_schema.columns where table_name = 'sessions'`)
    .map(({ name }) => String(name))
    .filter(name => !['id', 'name', 'status', 'ended_at', 'desired', 'created_at', 'change_seq'].includes(name))
    .map(name => `"${name}"`)
    .join(', ')
  await client.unsafe(
    `insert into sessions (id, status, desired, ended_at, created_at, change_seq, ${same})
     select 'ses_old' || n, 'failed', 'stopped', now(), now() - n * interval '1 second', 0, ${same}
     from (select * from sessions where id = $1) s, generate_series(1, ${rows}) n`,
    [living],
  )
  await client`analyze sessions`
  const { session } = api.db as unknown as { session: { client: postgres.Sql } }
  session.client.options.debug = (_, query, params) => void asked.push({ query, params })
}, 120_000)
afterAll(async () => {
  await client.end()
  await api.close()
})
beforeEach(() => {
  asked.length = 0
})

const create = () => api.call('POST', '/v1/sessions', { token, body: { template: 'chromium' } })
const get = (path: string, as = token) => api.call('GET', path, { token: as })

test.each<[string, () => Promise<unknown>]>([
  ['get', () => get(`/v1/sessions/${living}`)],
  ['list', () => get('/v1/sessions?limit=20')],
  ['the next page', async () => get(`/v1/sessions?limit=20&cursor=${(await get('/v1/sessions?limit=20')).body.next_cursor}`)],
  ['list of all projects', () => get('/v1/sessions?limit=20', api.admin)],
  ['list of the living', () => get('/v1/sessions?status=active&limit=20')],
  ['list of all that live', () => get('/v1/sessions?status=active&limit=20', api.admin)],
  ['create', create],
  ['what is left', () => get('/v1/me')],
  ['load', () => get('/v1/status')],
  ['queue', () => placeQueued({ db: api.db, origin })],
  ['what an agent should know', () => desiredSince(api.db, cluster.id, 1, { limit: 100, config: api.config })],
  ['sweep', () => sweepSessions({ db: api.db, tunnel: api.tunnel, origin })],
])('%s', async (_, ask) => {
  await ask()
  const about = asked.filter(({ query }) => /"?sessions"?/.test(query) && /^\s*(select|with|update|insert|delete)/i.test(query))
  expect(about.length).toBeGreaterThan(0)
  for (const { query, params } of about) {
    const [answer] = await client.unsafe(`explain (format json) ${query}`, params as never[])
    const whole = scansOf((answer!['QUERY PLAN'] as { Plan: Plan }[])[0]!.Plan)
    expect(whole, query).toEqual([])
  }
})

/** Nodes that read the whole table. */
function scansOf(plan: Plan): string[] {
  const here = plan['Node Type'] === 'Seq Scan' && plan['Relation Name'] === 'sessions' ? [JSON.stringify(plan)] : []
  return [...here, ...(plan.Plans ?? []).flatMap(scansOf)]
}
