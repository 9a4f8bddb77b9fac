/** Registries and webhooks over real Postgres: whose word counts, once each, and no secret anywhere. */
import { createHmac } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jobs, tokens } from '#db/schema.ts'
import { registriesSecret } from '#protocol/works-spec.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { endedJob } from '../testing/job-reports.ts'
import { branchFits } from './push.ts'
import { sweepHooks } from './service.ts'

let api: ApiFixture
let token: Minted
let cluster: FakeCluster
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  cluster = await new FakeCluster(api).connect({
    ...capable(1),
    jobs: { types: ['run', 'manifest', 'deploy', 'build'], capacity: 100 },
  })
  token = await api.mint({ scopes: ['jobs:read', 'jobs:write', 'manifests'] })
})
afterAll(() => api?.close())

const build = { git: { url: 'https://git.example.com/a.git' }, image: 'registry.example.com/team/app' }
const makeHook = async (body: object = {}, as = token) => {
  const answer = await api.call('POST', '/v1/webhooks', {
    token: as,
    body: { provider: 'github', branches: 'main,release/*', build, ...body },
  })
  expect([answer.status, answer.body.detail]).toEqual([201, undefined])
  return answer.body as { id: string; secret: string; url: string }
}
let number = 0
async function github(
  hook: { id: string; secret: string },
  change: { body?: object; headers?: Record<string, string>; secret?: string } = {},
) {
  const after = (++number).toString(16).padStart(40, 'a')
  const text = JSON.stringify({ ref: 'refs/heads/main', after, ...change.body })
  const signature = createHmac('sha256', change.secret ?? hook.secret)
    .update(text)
    .digest('hex')
  return send(hook.id, text, {
    'x-github-event': 'push',
    'x-github-delivery': `d-${number}`,
    'x-hub-signature-256': `sha256=${signature}`,
    ...change.headers,
  })
}
async function send(id: string, text: string, headers: Record<string, string>) {
  const response = await api.app.request(`${origin}/v1/hooks/${id}`, {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/json', ...headers },
  })
  return { status: response.status, body: (await response.json()) as { action?: string; job: string } }
}

describe('a registry', () => {
  const login = { host: 'registry.example.com', username: 'ann', password: 'correct-horse-battery' }
  it('is kept sealed, reaches builds and nobody else', async () => {
    const { status, body } = await api.call('POST', '/v1/registries', { token, body: login })
    expect([status, body.host, body.password]).toEqual([201, login.host, undefined])
    expect((await api.call('POST', '/v1/registries', { token, body: login })).status).toBe(200)
    const stranger = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    expect((await api.call('GET', '/v1/registries', { token: stranger })).body.data).toEqual([])
    expect((await api.call('DELETE', `/v1/registries/${body.id}`, { token: stranger })).status).toBe(404)
    expect((await api.call('POST', `/v1/registries/${body.id}/test`, { token: stranger, body: {} })).status).toBe(404)
    const [dump] = await api.db.execute<{ all: string }>(
      sql`select string_agg(r::text, ' ') || (select string_agg(a::text, ' ') from audit a) as all from registries r`,
    )
    expect(dump!.all).not.toMatch(/correct-horse|Y29ycmVjdC/)

    await api.call('POST', '/v1/jobs', { token, body: { type: 'build', ...build } })
    await api.call('POST', '/v1/jobs', { token: stranger, body: { type: 'build', ...build } })
    const wanted = await cluster.desiredJobs()
    const of = (project: string) => JSON.parse(wanted.find(job => job.project === project)!.secrets![registriesSecret]!)
    expect(of(token.project).auths).toEqual({ [login.host]: { auth: btoa(`ann:${login.password}`) } })
    expect(of(stranger.project).auths).toEqual({})
  })

  it('is tried from a cluster', async () => {
    const { body } = await api.call('GET', '/v1/registries', { token })
    const asked = api.call('POST', `/v1/registries/${body.data[0].id}/test`, { token, body: {} })
    let job: { id: string } | undefined
    while (!job) job = (await cluster.desiredJobs()).find(each => each.spec?.type === 'build' && each.spec.action === 'login')
    await cluster.report([], { jobs: [endedJob(job.id, 0)] })
    expect((await asked).body).toMatchObject({ object: 'registry_test', ok: true, job: job.id })
  })

  it.each([{ host: 'https://x' }, { host: 'a b' }, { username: 'a:b' }, { password: 'a\nb' }, { password: '' }])(
    'refuses %j',
    async change => {
      expect((await api.call('POST', '/v1/registries', { token, body: { ...login, ...change } })).status).toBe(422)
    },
  )
})

describe('a webhook', () => {
  it('builds what was pushed, as its maker, once', async () => {
    const hook = await makeHook()
    const first = await github(hook)
    expect(first).toMatchObject({ status: 200, body: { action: 'build', job: expect.stringMatching(/^job_/) } })
    const { body } = await api.call('GET', `/v1/jobs/${first.body.job}`, { token })
    expect(body).toMatchObject({
      type: 'build',
      user: token.user,
      labels: { webhook: hook.id, branch: 'main' },
      spec: { source: { ref: `${number.toString(16).padStart(40, 'a')}` } },
    })
    const [row] = await api.db.select({ n: sql<number>`count(*)::int` }).from(jobs)
    const again = await Promise.all(
      Array.from({ length: 8 }, () =>
        github(hook, { body: { after: 'b'.repeat(40) }, headers: { 'x-github-delivery': 'same' } }),
      ),
    )
    expect(again.filter(each => each.body.action === 'build')).toHaveLength(1)
    // The number is not signed: the same body under another number is the same push.
    const replayed = await github(hook, { body: { after: 'b'.repeat(40) }, headers: { 'x-github-delivery': 'another' } })
    expect(replayed.body).toMatchObject({ action: 'repeated', job: again.find(each => each.body.action === 'build')!.body.job })
    const [now] = await api.db.select({ n: sql<number>`count(*)::int` }).from(jobs)
    expect(now!.n).toBe(row!.n + 1)
  })

  it('a delivery without a number counts once too: by what it says', async () => {
    const hook = await makeHook()
    const send = (after: string) => github(hook, { body: { after }, headers: { 'x-github-delivery': '' } })
    const [one, same, other] = [await send('c'.repeat(40)), await send('c'.repeat(40)), await send('d'.repeat(40))]
    expect([one.body.action, same.body.action, other.body.action]).toEqual(['build', 'repeated', 'build'])
    expect(same.body.job).toBe(one.body.job)
  })

  it.each<[string, Parameters<typeof github>[1]]>([
    ['another secret', { secret: 'x'.repeat(40) }],
    ['no signature', { headers: { 'x-hub-signature-256': '' } }],
    ['half a signature', { headers: { 'x-hub-signature-256': 'sha256=00' } }],
    ['GitLab’s way', { headers: { 'x-hub-signature-256': '', 'x-gitlab-token': 'x' } }],
  ])('believes nobody with %s', async (_, change) => {
    const hook = await makeHook()
    expect((await github(hook, change)).status).toBe(401)
    const unknown = await github({ id: 'hok_nobody', secret: hook.secret }, change)
    expect(unknown.status).toBe(401)
  })

  it.each([
    [{ ref: 'refs/heads/topic' }, 'ignored'],
    [{ ref: 'refs/tags/v1' }, 'ignored'],
    [{ ref: 'refs/heads/release/1.0' }, 'build'],
    [{ after: '0'.repeat(40) }, 'ignored'],
    [{ after: '--upload-pack=x' }, 'ignored'],
  ])('%j: %s', async (body, action) => {
    expect((await github(await makeHook(), { body })).body).toMatchObject({ action })
  })

  it('switched off, it believes and begins nothing; switched on, it goes on, for other branches if so said', async () => {
    const hook = await makeHook()
    const change = (body: object, as = token) => api.call('PATCH', `/v1/webhooks/${hook.id}`, { token: as, body })
    expect((await change({ enabled: false })).body).toMatchObject({ id: hook.id, enabled: false, branches: 'main,release/*' })
    expect(await github(hook)).toMatchObject({ status: 200, body: { action: 'ignored', job: null } })
    expect((await github(hook, { secret: 'x'.repeat(40) })).status).toBe(401)
    expect((await change({ enabled: true, branches: 'topic', name: 'mine' })).body).toMatchObject({ enabled: true, name: 'mine' })
    expect((await github(hook)).body.action).toBe('ignored')
    expect((await github(hook, { body: { ref: 'refs/heads/topic' } })).body.action).toBe('build')
    expect((await change({ branches: 'a b' })).status).toBe(422)
    const stranger = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    expect((await change({ enabled: false }, stranger)).status).toBe(404)
  })

  it('knows GitLab', async () => {
    const hook = await makeHook({ provider: 'gitlab', secret: 'a-secret-of-my-own' })
    const text = JSON.stringify({ ref: 'refs/heads/main', after: 'c'.repeat(40) })
    const headers = { 'x-gitlab-event': 'Push Hook', 'x-gitlab-event-uuid': 'u1' }
    expect((await send(hook.id, text, { ...headers, 'x-gitlab-token': 'a-secret-of-my-owm' })).status).toBe(401)
    expect((await send(hook.id, text, { ...headers, 'x-gitlab-token': 'a-secret-of-my-own' })).body).toMatchObject({
      action: 'build',
    })
    expect((await send(hook.id, text, { ...headers, 'x-gitlab-token': 'a-secret-of-my-own' })).body).toMatchObject({
      action: 'repeated',
    })
  })

  it('deploys what was built, and not what was not', async () => {
    const hook = await makeHook({ deploy: { mappings: { web: '{image}' } } })
    const good = (await github(hook)).body.job
    const bad = (await github(hook)).body.job
    const result = { images: ['registry.example.com/team/app:1'], digest: `sha256:${'d'.repeat(64)}` }
    await cluster.report([], { jobs: [endedJob(good, 0, { result }), endedJob(bad, 1)] })
    const env = { db: api.db, tunnel: api.tunnel, origin, log: api.ctx(token, []).log }
    await Promise.all([sweepHooks(env), sweepHooks(env)])
    await sweepHooks(env)
    const deploys = (await api.call('GET', '/v1/jobs?type=deploy', { token })).body.data
    expect(deploys.map((job: { spec: object }) => job.spec)).toEqual([
      expect.objectContaining({ mappings: { web: `registry.example.com/team/app@${result.digest}` } }),
    ])
  })

  it('ends with the token that made it', async () => {
    const maker = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    const hook = await makeHook({}, maker)
    await api.db
      .update(tokens)
      .set({ revoked_at: sql`clock_timestamp()` as never })
      .where(eq(tokens.id, maker.id))
    expect((await github(hook)).status).toBe(403)
  })

  it('that deploys needs the scope; what could never be a job is refused at once', async () => {
    const weak = await api.mint({ scopes: ['jobs:write'] })
    const make = (body: object, as = token) =>
      api.call('POST', '/v1/webhooks', { token: as, body: { provider: 'github', build, ...body } })
    expect((await make({ deploy: { mappings: { web: '{image}' } } }, weak)).status).toBe(403)
    expect((await make({ build: { git: { url: 'file:///etc' } } })).status).toBe(422)
    expect((await make({ build: { git: { url: 'https://g.example/a', ref: 'main' } } })).status).toBe(422)
  })

  it('its secret is nowhere', async () => {
    const hook = await makeHook()
    const [dump] = await api.db.execute<{ all: string }>(sql`select string_agg(w::text, ' ') as all from webhooks w`)
    expect(dump!.all).not.toContain(hook.secret)
    expect(JSON.stringify((await api.call('GET', '/v1/webhooks', { token })).body)).not.toContain(hook.secret)
  })
})

it.each([
  ['main', 'main', true],
  ['main', 'main2', false],
  ['release/*', 'release/1', true],
  ['release/*', 'release/1/2', false],
  ['release/**', 'release/1/2', true],
  ['a,b', 'b', true],
  ['a.c', 'abc', false],
])('%s takes %s: %s', (patterns, branch, fits) => expect(branchFits(patterns, branch)).toBe(fits))
