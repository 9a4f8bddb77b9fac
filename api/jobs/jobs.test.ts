/** The verbs of jobs over real Postgres: the queue, the fences, the ends. The cluster is one that only the database knows. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clusters, jobs } from '#db/schema.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { endedJob, seenJob } from '../testing/job-reports.ts'
import { placeJobs } from './queue.ts'
import type { Job } from './schema.ts'
import { sweepJobs } from './sweep.ts'

let api: ApiFixture
let token: Minted
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
})
afterAll(() => api?.close())
beforeEach(async () => {
  await api.db.delete(jobs)
  await api.db.delete(clusters)
  token = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
})

const run = { type: 'run', image: 'alpine', command: ['true'] }
const create = async (body: object = {}, as: Minted = token) => {
  const answer = await api.call('POST', '/v1/jobs', { token: as, body: { ...run, ...body } })
  expect([answer.status, answer.body.detail]).toEqual([201, undefined])
  return answer.body
}
const get = async (id: string, as: Minted = token) => (await api.call('GET', `/v1/jobs/${id}`, { token: as })).body
const act = (id: string, verb: string, body: object = {}) => api.call('POST', `/v1/jobs/${id}/${verb}`, { token, body })

describe('a job', () => {
  it('waits without a cluster and says so', async () => {
    const job = await create({ name: 'first', labels: { a: 'b' } })
    expect(job).toMatchObject({ object: 'job', type: 'run', status: 'queued', attempt: 1, cluster: null, name: 'first' })
    expect((await get(job.id)).queue).toMatchObject({ position: 1, reason: 'No cluster is registered yet.' })
  })

  it('goes to a cluster at once, runs, ends, is let go of and forgotten there', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create({ command: 'echo hi; exit 3', env: { A: '1' }, timeout_seconds: 60 })
    expect(api.tunnel.nudged).toContain(cluster.id)
    const [wanted] = await cluster.desiredJobs()
    expect(wanted).toMatchObject({
      id,
      attempt: 1,
      state: 'running',
      seen: false,
      timeout_ms: 60_000,
      spec: { type: 'run', command: ['/bin/sh', '-c', 'echo hi; exit 3'], env: { A: '1' } },
    })
    expect(await get(id)).toMatchObject({ status: 'queued', queue: null, cluster: cluster.id })
    await cluster.report([], { jobs: [seenJob(id, 'running')] })
    expect(await get(id)).toMatchObject({ status: 'running', started_at: expect.any(String) })
    expect((await cluster.desiredJobs())[0]).toMatchObject({ seen: true })
    await cluster.report([], { jobs: [endedJob(id, 3)] })
    expect(await get(id)).toMatchObject({ status: 'failed', exit_code: 3, cause: 'exit', duration_seconds: 1 })
    expect((await cluster.desiredJobs())[0]).toMatchObject({ state: 'finished' })
    expect((await cluster.desiredJobs())[0]).not.toHaveProperty('spec')
    await cluster.report([], { jobs: [seenJob(id, 'absent')] })
    expect(await cluster.desiredJobs()).toEqual([])
    expect(await get(id)).toMatchObject({ status: 'failed' })
  })

  it('is over at once although its log is still being taken, and is let go of only after that', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create()
    await cluster.report([], { jobs: [endedJob(id, 0, { log_complete: false })] })
    expect(await get(id)).toMatchObject({ status: 'succeeded' })
    expect((await cluster.desiredJobs())[0]).toMatchObject({ state: 'running' })
    await cluster.report([], { jobs: [endedJob(id, 0)] })
    expect((await cluster.desiredJobs())[0]).toMatchObject({ state: 'finished' })
  })

  it('belongs to its project alone', async () => {
    const { id } = await create()
    const stranger = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/cancel'],
      ['POST', '/retry'],
    ] as const)
      expect(
        (await api.call(method, `/v1/jobs/${id}${path}`, { token: stranger, ...(method === 'POST' ? { body: {} } : {}) })).status,
      ).toBe(404)
    expect((await api.call('GET', '/v1/jobs', { token: stranger })).body.data).toEqual([])
  })

  it('is found by status, type, label and name', async () => {
    const cluster = await new FakeCluster(api).connect()
    const a = await create({ name: 'a', labels: { team: 'x' } })
    const b = await create({ name: 'b' })
    await cluster.report([], { jobs: [endedJob(a.id, 0)] })
    const ids = async (query: string) =>
      (await api.call('GET', `/v1/jobs?${query}`, { token })).body.data.map((job: { id: string }) => job.id)
    expect(await ids('')).toEqual([b.id, a.id])
    expect(await ids('status=active')).toEqual([b.id])
    expect(await ids('status=ended')).toEqual([a.id])
    expect(await ids('labels=team=x')).toEqual([a.id])
    expect(await ids('type=run&name=b')).toEqual([b.id])
    expect((await api.call('GET', '/v1/jobs?status=done', { token })).status).toBe(422)
    expect((await api.call('GET', '/v1/jobs?type=dance', { token })).status).toBe(422)
  })

  it('that no cluster could ever run is refused with the reason', async () => {
    await new FakeCluster(api).connect({ ...capable(1), jobs: { types: ['build'], capacity: 1 } }, 'builder')
    const { status, body } = await api.call('POST', '/v1/jobs', { token, body: run })
    expect([status, body.detail]).toEqual([409, expect.stringContaining('builder runs no jobs of type run')])
    const nowhere = await api.call('POST', '/v1/jobs', { token, body: { ...run, cluster: 'mars' } })
    expect([nowhere.status, nowhere.body.errors[0].pointer]).toEqual([422, '/cluster'])
  })

  it.each([
    [{ type: 'dance' }, '/type'],
    [{ image: 'a b' }, '/image'],
    [{ command: [] }, '/command'],
    [{ command: null, image: null }, '/command'],
    [{ egress: { mode: 'none', allow: ['10.0.0.0/8', 'example.com'] } }, '/egress/allow/1'],
    [{ timeout_seconds: 0 }, '/timeout_seconds'],
    [{ resources: { cpu: 'lots' } }, '/resources/cpu'],
    [{ secret_env: { A: 'nowhere' } }, '/secret_env/A'],
    [{ env: { 'A-B': '1' } }, '/env/A-B'],
  ])('%j is refused with a pointer', async (change, pointer) => {
    const { status, body } = await api.call('POST', '/v1/jobs', { token, body: { ...run, ...change } })
    expect([status, body.errors?.[0]?.pointer]).toEqual([422, pointer])
  })

  it('is made once for one Idempotency-Key', async () => {
    const make = () => api.call('POST', '/v1/jobs', { token, body: run, headers: { 'idempotency-key': 'k1' } })
    const answers = await Promise.all(Array.from({ length: 6 }, make))
    const again = await make()
    const ids = new Set([...answers.filter(each => each.status === 201), again].map(each => each.body.id))
    expect([ids.size, again.headers.get('idempotent-replayed')]).toEqual([1, 'true'])
    expect(await api.db.$count(jobs)).toBe(1)
  })
})

describe('fences', () => {
  it('of attempt, cluster and end: what comes late or from elsewhere changes nothing', async () => {
    const cluster = await new FakeCluster(api).connect()
    const other = await new FakeCluster(api).connect(capable(0))
    const { id } = await create()
    await other.report([], { jobs: [endedJob(id, 0)] })
    await cluster.report([], { jobs: [endedJob(id, 0, { attempt: 2 })] })
    await cluster.report([], { jobs: [endedJob(id, 0)], epoch: 7 })
    expect((await get(id)).status).toBe('queued')
    await cluster.report([], { jobs: [endedJob(id, 3)] })
    await cluster.report([], { jobs: [endedJob(id, 0)] })
    await cluster.report([], { jobs: [seenJob(id, 'running')] })
    expect(await get(id)).toMatchObject({ status: 'failed', exit_code: 3 })
  })

  it('a report of the first attempt does not end the second', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create()
    await cluster.report([], { jobs: [endedJob(id, 1)] })
    expect((await act(id, 'retry')).body).toMatchObject({ status: 'queued', attempt: 2, exit_code: null })
    await cluster.report([], { jobs: [endedJob(id, 0)] })
    expect((await get(id)).status).toBe('queued')
    await cluster.report([], { jobs: [endedJob(id, 0, { attempt: 2 })] })
    expect(await get(id)).toMatchObject({
      status: 'succeeded',
      attempt: 2,
      attempts: [{ attempt: 1, status: 'failed', exit_code: 1 }],
    })
  })
})

describe('cancel, retry, delete', () => {
  it('one that waits is canceled at once', async () => {
    const { id } = await create()
    expect((await act(id, 'cancel')).body).toMatchObject({ status: 'canceled', cause: 'canceled' })
    expect((await act(id, 'cancel')).status).toBe(200)
  })

  it('one that runs is canceled when its agent says so; a success that was faster stays one', async () => {
    const cluster = await new FakeCluster(api).connect()
    const [a, b] = [await create(), await create()]
    await cluster.report([], { jobs: [seenJob(a.id, 'running'), seenJob(b.id, 'running')] })
    for (const { id } of [a, b]) expect((await act(id, 'cancel')).body).toMatchObject({ status: 'running', canceling: true })
    expect((await cluster.desiredJobs()).map(job => job.state)).toEqual(['canceled', 'canceled'])
    await cluster.report([], {
      jobs: [seenJob(a.id, 'ended', { outcome: 'canceled', cause: 'canceled' }), endedJob(b.id, 0)],
    })
    expect([(await get(a.id)).status, (await get(b.id)).status]).toEqual(['canceled', 'succeeded'])
    expect((await act(b.id, 'cancel')).status).toBe(409)
  })

  it('a success is repeated only by force', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create()
    expect((await act(id, 'retry')).status).toBe(409)
    await cluster.report([], { jobs: [endedJob(id, 0)] })
    expect((await act(id, 'retry')).status).toBe(409)
    expect((await act(id, 'retry', { force: true })).body).toMatchObject({ attempt: 2, status: 'queued' })
  })

  it('max_attempts tries again by itself, but not what was refused or canceled', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create({ max_attempts: 2 })
    await cluster.report([], { jobs: [endedJob(id, 1, { log_complete: false })] })
    expect(await get(id)).toMatchObject({ attempt: 1 })
    await cluster.report([], { jobs: [endedJob(id, 1)] })
    expect(await get(id)).toMatchObject({ attempt: 2, status: 'queued', attempts: [{ status: 'failed', exit_code: 1 }] })
    await sweepJobs({ db: api.db, tunnel: api.tunnel, origin: '' })
    await cluster.report([], { jobs: [endedJob(id, 1, { attempt: 2 })] })
    expect(await get(id)).toMatchObject({ attempt: 2, status: 'failed' })
    const other = await create({ max_attempts: 3 })
    await cluster.report([], { jobs: [seenJob(other.id, 'ended', { outcome: 'failed', cause: 'refused' })] })
    expect(await get(other.id)).toMatchObject({ attempt: 1, status: 'failed' })
  })

  it('deleting one that runs hides it, and keeps its row until nothing is left', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create()
    await cluster.report([], { jobs: [seenJob(id, 'running')] })
    expect((await api.call('DELETE', `/v1/jobs/${id}`, { token })).status).toBe(204)
    expect((await get(id)).status).toBe(404)
    expect(await cluster.desiredJobs()).toMatchObject([{ id, state: 'deleted' }])
    await cluster.report([], { jobs: [seenJob(id, 'absent')] })
    expect(await api.db.$count(jobs)).toBe(0)
  })

  it('a cluster that is removed by force takes its jobs with it, as lost', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create()
    expect((await api.call('DELETE', `/v1/clusters/${cluster.id}`, { token: api.admin })).status).toBe(409)
    expect((await api.call('DELETE', `/v1/clusters/${cluster.id}?force=true`, { token: api.admin })).status).toBe(204)
    expect(await get(id)).toMatchObject({ status: 'failed', cause: 'lost', cluster: null })
  })

  it('the deadline is the API’s too, long after the agent should have kept it', async () => {
    const cluster = await new FakeCluster(api).connect()
    const { id } = await create({ timeout_seconds: 5, grace_seconds: 1 })
    await cluster.report([], { jobs: [seenJob(id, 'running', { started_age_ms: 60_000 })] })
    const env = { db: api.db, tunnel: api.tunnel, origin: '' }
    await sweepJobs(env)
    expect((await get(id)).canceling).toBe(false)
    await api.db.execute(`update jobs set started_at = started_at - interval '7 seconds'` as never)
    await sweepJobs(env)
    expect(await get(id)).toMatchObject({ status: 'running', canceling: true })
    await cluster.report([], { jobs: [seenJob(id, 'ended', { outcome: 'canceled', cause: 'canceled' })] })
    expect(await get(id)).toMatchObject({ status: 'failed', cause: 'deadline', status_reason: 'It ran longer than its 5 s.' })
  })
})

describe('the queue', () => {
  it('max_jobs and the capacity of a cluster hold against racers on many replicas', async () => {
    const cluster = await new FakeCluster(api).connect(capable(5))
    const small = await api.mint({ project: await api.project({ max_jobs: 2 }), scopes: ['jobs:read', 'jobs:write'] })
    await Promise.all([...Array.from({ length: 10 }, () => create({}, small)), ...Array.from({ length: 10 }, () => create())])
    await Promise.all(Array.from({ length: 8 }, () => placeJobs({ db: api.db, origin: '' })))
    const placed = (await cluster.desiredJobs()).map(job => job.project)
    expect([placed.length, placed.filter(project => project === small.project).length]).toEqual([5, 2])
    const [waiting] = (await api.call('GET', '/v1/jobs?status=queued', { token: small })).body.data
    expect(waiting.queue.reason).toMatch(/max_jobs 2|5 of 5 jobs/)
  })

  it('takes turns between projects, priority within one, then age; positions say so', async () => {
    const other = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    const names = ['a1', 'a2', 'a3'].map(name => ({ name, as: token, priority: name === 'a3' ? 5 : 0 }))
    for (const { name, as, priority } of [...names, { name: 'b1', as: other, priority: 0 }]) await create({ name, priority }, as)
    const all: Job[] = (await api.call('GET', '/v1/jobs', { token: api.admin })).body.data
    const order = all.sort((x, y) => x.queue!.position - y.queue!.position).map(job => job.name)
    expect(order).toEqual(['a3', 'b1', 'a1', 'a2'])
    const cluster = await new FakeCluster(api).connect(capable(2))
    await placeJobs({ db: api.db, origin: '' })
    expect((await cluster.desiredJobs()).map(job => job.project).sort()).toEqual([token.project, other.project].sort())
  })

  it('a job for a full cluster does not hold up one for another', async () => {
    await new FakeCluster(api).connect(capable(1), 'one')
    const two = await new FakeCluster(api).connect(capable(1), 'two')
    await create({ cluster: 'one' })
    await create({ cluster: 'one' })
    const free = await create({ cluster: 'two' })
    expect((await two.desiredJobs()).map(job => job.id)).toEqual([free.id])
  })

  it('cpu and memory of jobs count against the project while a cluster has them', async () => {
    const cluster = await new FakeCluster(api).connect(capable(9))
    const tight = await api.mint({ project: await api.project({ max_cpu_millis: 1500 }), scopes: ['jobs:read', 'jobs:write'] })
    const [a, b] = [await create({ resources: { cpu: '1' } }, tight), await create({ resources: { cpu: '1' } }, tight)]
    expect((await get(b.id, tight)).queue.reason).toContain('max_cpu 1500m')
    await cluster.report([], { jobs: [endedJob(a.id, 0)] })
    await placeJobs({ db: api.db, origin: '' })
    expect((await get(b.id, tight)).cluster).toBe(cluster.id)
  })

  it('big specs come in pages that fit into a message, none twice, none left out', async () => {
    const cluster = await new FakeCluster(api).connect(capable(20))
    const big = 'x'.repeat(30_000)
    const made = []
    for (let n = 0; n < 6; n++) made.push((await create({ env: { A: big, B: big, C: big, D: big, E: big, F: big } })).id)
    const page = await cluster.page(0)
    expect(page.complete).toBe(false)
    expect(JSON.stringify(page.jobs).length).toBeLessThan(600_000)
    const seen = [...page.jobs.map(job => job.id)]
    for (let at = page; !at.complete; ) {
      at = await cluster.page(at.seq)
      seen.push(...at.jobs.map(job => job.id))
    }
    expect(seen).toEqual(made)
  })
})

describe('secrets', () => {
  it('reach the agent by name, and nobody else, not even a copy of the database', async () => {
    const cluster = await new FakeCluster(api).connect()
    const value = 'correct horse battery staple'
    const put = await api.call('POST', '/v1/secrets', { token, body: { name: 'db.password', value } })
    expect([put.status, JSON.stringify(put.body).includes(value)]).toEqual([201, false])
    expect((await api.call('POST', '/v1/secrets', { token, body: { name: 'db.password', value } })).status).toBe(200)
    const { id } = await create({ secret_env: { PASSWORD: 'db.password' } })
    expect((await cluster.desiredJobs())[0]).toMatchObject({ secrets: { 'db.password': value } })
    const shown = [await get(id), (await api.call('GET', '/v1/secrets', { token })).body]
    expect(JSON.stringify(shown)).not.toContain(value)
    const dump = await api.db.execute(
      `select jsonb_agg(to_jsonb(s)) as s, (select jsonb_agg(to_jsonb(j)) from jobs j) as j,
      (select jsonb_agg(to_jsonb(e)) from events e) as e, (select jsonb_agg(to_jsonb(a)) from audit a) as a from secrets s` as never,
    )
    expect(JSON.stringify(dump)).not.toContain(value)
    await cluster.report([], { jobs: [endedJob(id, 0)] })
    expect((await cluster.desiredJobs())[0]).not.toHaveProperty('secrets')
    const stranger = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    expect((await api.call('GET', '/v1/secrets', { token: stranger })).body.data).toEqual([])
    expect((await api.call('DELETE', '/v1/secrets/db.password', { token: stranger })).status).toBe(404)
    expect((await api.call('DELETE', '/v1/secrets/db.password', { token })).status).toBe(204)
  })
})

it('tells what happens, to those who may read jobs', async () => {
  const cluster = await new FakeCluster(api).connect()
  const { id } = await create()
  await cluster.report([], { jobs: [seenJob(id, 'running', { progress: { percent: 50, step: 'half' } })] })
  await cluster.report([], { jobs: [endedJob(id, 0)] })
  const rows = await api.db.execute<{ type: string; status: string; percent: number | null }>(
    `select type, data->'job'->>'status' as status, (data->'job'->'progress'->>'percent')::int as percent
     from events where data->'job'->>'id' = '${id}' order by seq` as never,
  )
  expect(rows.map(({ type, status, percent }) => [type, status, percent])).toEqual([
    ['job.created', 'queued', null],
    ['job.updated', 'queued', null],
    ['job.updated', 'running', 50],
    ['job.updated', 'succeeded', null],
  ])
  const written = await api.db.execute(`select action from audit where target = '${id}'` as never)
  expect(written).toMatchObject([{ action: 'job.create' }])
})
