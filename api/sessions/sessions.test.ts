/** The verbs of sessions over real Postgres, against a cluster that is only rows. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { audit, clusters, projects, sessions } from '#db/schema.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { placeQueued } from './place.ts'
import { sweepSessions } from './sweep.ts'

let api: ApiFixture
let cluster: FakeCluster
let token: Minted

beforeAll(async () => {
  api = await apiFixture()
  await loadBuiltinTemplates(api.db)
})
afterAll(() => api.close())

beforeEach(async () => {
  await api.db.delete(sessions)
  await api.db.delete(clusters)
  cluster = await new FakeCluster(api).connect()
  token = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'sessions:connect'] })
})

const create = (body: object = {}, as: Minted = token, headers?: Record<string, string>) =>
  api.call('POST', '/v1/sessions', { token: as, body: { template: 'chromium', ...body }, headers })
const get = (id: string, as: Minted = token) => api.call('GET', `/v1/sessions/${id}`, { token: as })
const act = (id: string, verb: string, body?: object) =>
  api.call('POST', `/v1/sessions/${id}/${verb}`, { token, ...(body ? { body } : {}) })
const sweep = () => sweepSessions({ db: api.db, tunnel: api.tunnel, origin })

describe('create', () => {
  it('answers 201 with the whole object, places it, and tells the agent', async () => {
    const { status, body } = await create({
      name: 'mine',
      labels: { team: 'a' },
      ttl_seconds: 600,
      display: { width: 800, height: 600 },
    })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      object: 'session',
      name: 'mine',
      template: 'chromium',
      cluster: cluster.id,
      status: 'starting',
      generation: 1,
      display: { width: 800, height: 600 },
      labels: { team: 'a' },
      queue: null,
      pod: null,
    })
    expect(body.id).toMatch(/^ses_[0-9a-z]{20}$/)
    expect(body.urls.vnc).toBe(`${origin.replace('http', 'ws')}/v1/sessions/${body.id}/vnc`)
    await api.settled()
    expect(api.tunnel.nudged).toContain(cluster.id)
    const [item] = await cluster.desired()
    expect(item).toMatchObject({ id: body.id, state: 'running', generation: 1, spec: { kind: 'browser', browser: 'chromium' } })
    expect(item!.ttl_remaining_ms).toBeGreaterThan(590_000)
    const [row] = await api.db.select().from(audit).where(eq(audit.target, body.id))
    expect(row).toMatchObject({ action: 'session.create', token_id: token.id, outcome: 'ok' })
  })

  it('is get-or-create by name within the user, also for 20 at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => create({ name: 'one' })))
    expect(answers.filter(a => a.status === 201)).toHaveLength(1)
    expect(answers.filter(a => a.status === 200)).toHaveLength(19)
    expect(new Set(answers.map(a => a.body.id)).size).toBe(1)
    const other = await api.mint({ project: token.project, user: 'someoneelse', scopes: ['sessions:write'] })
    expect((await create({ name: 'one' }, other)).status).toBe(201)
  })

  it.each([
    [{ template: 'nope' }, '/template'],
    [{ start_url: 'file:///etc/passwd' }, '/start_url'],
    [{ start_url: 'javascript:alert(1)' }, '/start_url'],
    [{ name: 'x'.repeat(1024 * 1024 - 200) }, '/name'],
    [{ name: 'a\u0000b' }, '/name'],
    [{ display: { width: 1, height: 1 } }, '/display/width'],
    [{ display: { width: 99_999, height: 99_999 } }, '/display/width'],
    [{ ttl_seconds: 0 }, '/ttl_seconds'],
    [{ ttl_seconds: -1 }, '/ttl_seconds'],
    [{ ttl_seconds: 2 ** 31 }, '/ttl_seconds'],
    [{ ttl_seconds: 1.5 }, '/ttl_seconds'],
    [{ resources: { memory: '1 GB' } }, '/resources/memory'],
    [{ resources: { memory: '512m' } }, '/resources/memory'],
    [{ surprise: true }, '/surprise'],
    [{ display: { width: 800, height: 600, 'a/b': 1 } }, '/display/a~1b'],
  ])('refuses %j with a pointer', async (body, pointer) => {
    const answer = await create(body)
    expect(answer.status).toBe(422)
    expect(answer.body).toMatchObject({ code: 'invalid', status: 422 })
    expect(answer.body.errors[0].pointer).toBe(pointer)
  })

  it.each([
    ['{"template":', 400],
    ['[]', 422],
    ['"x"', 422],
  ])('refuses the body %s', async (body, status) => {
    expect(
      (await api.call('POST', '/v1/sessions', { token, body, headers: { 'content-type': 'application/json' } })).status,
    ).toBe(status)
  })

  it('409 when no cluster ever could, queued with numbers when none can now', async () => {
    expect((await create({ cluster: 'nowhere' })).body).toMatchObject({ status: 422, errors: [{ pointer: '/cluster' }] })
    expect((await create({ selector: { zone: 'none' } })).body).toMatchObject({ status: 409, code: 'conflict' })
    expect((await create({ cluster: cluster.id, browser: 'webkit' })).status).toBe(409)
    await api.db.update(clusters).set({ capabilities: capable(1) })
    const first = await create()
    const second = await create()
    const third = await create()
    expect(second.body).toMatchObject({
      status: 'queued',
      cluster: null,
      queue: { position: 1, reason: expect.stringContaining('1 of 1') },
    })
    expect((await get(third.body.id)).body.queue.position).toBe(2)
    await api.call('DELETE', `/v1/sessions/${first.body.id}`, { token })
    await sweep()
    expect((await get(second.body.id)).body.status).toBe('queued')
    await cluster.report([{ id: first.body.id, phase: 'absent' }])
    await sweep()
    expect((await get(second.body.id)).body).toMatchObject({ status: 'starting', cluster: cluster.id, queue: null })
    expect((await get(third.body.id)).body.queue.position).toBe(1)
  })

  describe('a line', () => {
    const free = (id: string) => cluster.report([{ id, phase: 'absent' }])
    const statuses = async (...ids: string[]) => await Promise.all(ids.map(async id => (await get(id)).body.status))
    let ids: string[]
    beforeEach(async () => {
      await api.db.update(clusters).set({ capabilities: capable(1) })
      ids = []
      for (let n = 0; n < 3; n++) ids.push((await create()).body.id)
      await api.call('DELETE', `/v1/sessions/${ids[0]}`, { token })
    })

    it('is not gone past by a newcomer who finds room', async () => {
      await free(ids[0]!)
      const late = (await create()).body
      expect([late.status, late.queue.reason]).toEqual(['queued', expect.stringContaining('others wait already')])
      await sweep()
      expect(await statuses(ids[1]!, ids[2]!, late.id)).toEqual(['starting', 'queued', 'queued'])
    })

    it('is kept by those in it: room that appears while it is looked through is the first one’s', async () => {
      let looked = 0
      const db = new Proxy(api.db, {
        get(target, name) {
          if (name !== 'transaction') return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)
          return async (work: never) => {
            const answer = await target.transaction(work)
            if (++looked === 1) await free(ids[0]!)
            return answer
          }
        },
      })
      expect(await placeQueued({ db, origin })).toEqual([])
      expect([looked, await statuses(ids[1]!, ids[2]!)]).toEqual([2, ['queued', 'queued']])
      expect(await placeQueued({ db: api.db, origin })).toEqual([cluster.id])
      expect(await statuses(ids[1]!, ids[2]!)).toEqual(['starting', 'queued'])
    })

    it('is kept by replicas that look at it at once', async () => {
      await free(ids[0]!)
      await Promise.all(Array.from({ length: 6 }, () => placeQueued({ db: api.db, origin })))
      expect(await statuses(ids[1]!, ids[2]!)).toEqual(['starting', 'queued'])
    })
  })

  it('never places more than a cluster holds, however many race', async () => {
    await api.db.update(clusters).set({ capabilities: capable(5) })
    const answers = await Promise.all(Array.from({ length: 25 }, () => create()))
    expect(answers.map(a => a.status)).toEqual(Array(25).fill(201))
    expect(answers.filter(a => a.body.status === 'starting')).toHaveLength(5)
  })

  it('holds exactly to the quota: 40 racers, limit 5', async () => {
    const project = await api.project({ max_sessions: 5 })
    const racer = await api.mint({ project, scopes: ['sessions:write'] })
    const answers = await Promise.all(Array.from({ length: 40 }, () => create({}, racer)))
    expect(answers.filter(a => a.status === 201)).toHaveLength(5)
    expect(answers.filter(a => a.status === 403 && a.body.code === 'quota_exceeded')).toHaveLength(35)
  })

  it('waits as Prefer asks, and answers what is then true', async () => {
    const waiting = create({}, token, { prefer: 'wait=20' })
    let desired = await cluster.desired()
    while (desired.length === 0) desired = await cluster.desired()
    await cluster.report([{ id: desired[0]!.id, phase: 'running' }])
    const { status, body, headers } = await waiting
    expect(status).toBe(201)
    expect(body.status).toBe('running')
    expect(headers.get('preference-applied')).toBe('wait=20')
    expect((await create({}, token, { prefer: 'wait=61' })).status).toBe(422)
  })
})

describe('what the agent reports', () => {
  it('moves starting to running to an end with its reason, with one timeline', async () => {
    const { id } = (await create()).body
    await cluster.report([
      { id, phase: 'starting', phases: [{ phase: 'display_ready', age_ms: 5 }], reason: 'starting the browser' },
    ])
    expect((await get(id)).body).toMatchObject({ status: 'starting', status_reason: 'starting the browser' })
    await cluster.report([
      {
        id,
        phase: 'running',
        phases: [
          { phase: 'display_ready', age_ms: 50 },
          { phase: 'browser_ready', age_ms: 1 },
        ],
      },
    ])
    const running = (await get(id)).body
    expect(running.status).toBe('running')
    expect(running.started_at).not.toBeNull()
    expect(running.phases.map((p: { phase: string }) => p.phase)).toEqual(['placed', 'display_ready', 'browser_ready', 'running'])
    await cluster.report([{ id, phase: 'ended', cause: 'failed', reason: 'Chromium was killed (signal 9).' }])
    expect((await get(id)).body).toMatchObject({
      status: 'failed',
      status_reason: 'Chromium was killed (signal 9).',
      termination_reason: 'failed',
    })
    expect((await cluster.desired()).find(item => item.id === id)?.state).toBe('stopped')
  })

  it('is fenced by epoch, number and generation', async () => {
    const { id } = (await create()).body
    expect((await cluster.report([{ id, phase: 'running' }], { epoch: 2 })).applied).toBe(false)
    expect((await cluster.report([{ id, phase: 'running' }], { epoch: 1, seq: 5 })).applied).toBe(true)
    expect((await cluster.report([{ id, phase: 'ended', cause: 'failed' }], { epoch: 1, seq: 5 })).applied).toBe(false)
    await cluster.report([{ id, phase: 'ended', cause: 'failed', generation: 7 }], { seq: 6 })
    expect((await get(id)).body.status).toBe('running')
  })

  it('cannot touch a session of another cluster', async () => {
    const other = await new FakeCluster(api).connect()
    const { id } = (await create({ cluster: cluster.id })).body
    await other.report([{ id, phase: 'ended', cause: 'failed' }])
    expect((await get(id)).body.status).toBe('starting')
  })

  it('a start that took too long failed, and says that it was this', async () => {
    const { id } = (await create()).body
    await cluster.report([{ id, phase: 'ended', cause: 'start_timeout' }])
    expect((await get(id)).body).toMatchObject({ status: 'failed', termination_reason: 'start_timeout' })
  })

  it('idle and ttl ends are expired', async () => {
    const { id } = (await create()).body
    await cluster.report([{ id, phase: 'running' }])
    await cluster.report([{ id, phase: 'ended', cause: 'idle' }])
    expect((await get(id)).body).toMatchObject({ status: 'expired', termination_reason: 'idle' })
  })
})

it('a report of many is one step in which each has its own outcome and its own event', async () => {
  const [up, dead, gone, old, twice] = await Promise.all(
    Array.from({ length: 5 }, async () => (await create()).body.id as string),
  )
  await api.call('DELETE', `/v1/sessions/${gone}`, { token })
  const [before] = await api.db.execute<{ at: string }>(sql`select coalesce(max(seq), 0)::text as at from events`)
  const outcome = await cluster.report([
    { id: up!, phase: 'running', notes: ['a "quoted" one'] },
    { id: dead!, phase: 'ended', cause: 'failed', reason: 'it fell' },
    { id: gone!, phase: 'absent' },
    { id: old!, phase: 'running', generation: 7 },
    { id: 'ses_nobody', phase: 'running' },
    { id: twice!, phase: 'running' },
    { id: twice!, phase: 'ended', cause: 'stopped' },
  ])
  expect(outcome.applied).toBe(true)
  expect(outcome.settled.sort()).toEqual([dead, gone, twice].sort())
  const after = (await get(up!)).body
  expect(after).toMatchObject({ status: 'running', notes: ['a "quoted" one'], display: expect.anything() })
  expect((await get(dead!)).body).toMatchObject({ status: 'failed', status_reason: 'it fell', termination_reason: 'failed' })
  expect((await get(old!)).body).toMatchObject({ status: 'starting' })
  expect((await get(twice!)).body).toMatchObject({
    status: 'stopped',
    started_at: expect.any(String),
    ended_at: expect.any(String),
  })
  expect(await api.db.execute(sql`select id from sessions where id = ${gone}`)).toHaveLength(0)
  const told = await api.db.execute<{ session_id: string; status: string; session: unknown }>(sql`
    select session_id, data -> 'session' ->> 'status' as status, data -> 'session' as session
    from events where seq > ${before!.at}::bigint order by seq`)
  expect(told.map(({ session_id, status }) => [session_id, status])).toEqual([
    [up, 'running'],
    [dead, 'failed'],
    [twice, 'running'],
    [twice, 'stopped'],
  ])
  // What is told is what a GET answers.
  expect(told[0]!.session).toEqual(after)
})

it('a live resize is answered, and what it is from then on: also after a restart', async () => {
  const { id } = (await create()).body
  await cluster.report([{ id, phase: 'running', display: { width: 1280, height: 720 } }])
  api.tunnel.http = () => Response.json({ width: 800, height: 598 })
  const body = { display: { width: 800, height: 599 } }
  expect((await api.call('PATCH', `/v1/sessions/${id}`, { token, body })).body.display).toEqual({ width: 800, height: 598 })
  await cluster.report([{ id, phase: 'running', display: { width: 640, height: 480 } }])
  expect((await get(id)).body.display).toEqual({ width: 640, height: 480 })
  expect((await act(id, 'restart')).body.display).toEqual({ width: 800, height: 598 })
  expect((await cluster.desired()).find(item => item.id === id)?.spec?.display).toEqual({ width: 800, height: 598 })
})

describe('stop, start, restart, touch, delete', () => {
  const running = async (body: object = {}) => {
    const { id } = (await create(body)).body
    await cluster.report([{ id, phase: 'running' }])
    return id as string
  }

  it('stop keeps it, start makes the next generation', async () => {
    const id = await running()
    expect((await act(id, 'stop')).body.status).toBe('stopping')
    expect((await cluster.desired())[0]).toMatchObject({ id, state: 'stopped' })
    await cluster.report([{ id, phase: 'ended', cause: 'stopped' }])
    expect((await get(id)).body).toMatchObject({ status: 'stopped', termination_reason: 'requested' })
    expect((await act(id, 'stop')).status).toBe(200)
    const started = (await act(id, 'start')).body
    expect(started).toMatchObject({ status: 'starting', generation: 2, ended_at: null, termination_reason: null })
    await cluster.report([{ id, phase: 'ended', cause: 'stopped', generation: 1 }])
    await cluster.report([{ id, phase: 'running', generation: 2 }])
    expect((await get(id)).body.status).toBe('running')
  })

  it('restart is a new generation under the same id', async () => {
    const id = await running()
    expect((await act(id, 'restart')).body).toMatchObject({ id, status: 'starting', generation: 2 })
  })

  it('a final session cannot start: 409 that says so', async () => {
    const id = await running()
    await cluster.report([{ id, phase: 'ended', cause: 'failed' }])
    expect((await act(id, 'start')).body).toMatchObject({ status: 409, code: 'conflict' })
    expect((await act(id, 'touch')).status).toBe(409)
  })

  it('start takes quota again', async () => {
    const id = await running()
    await act(id, 'stop')
    await cluster.report([{ id, phase: 'ended', cause: 'stopped' }])
    await api.db
      .update(projects)
      .set({ quotas: sql`jsonb_set(quotas, '{max_sessions}', '0')` })
      .where(eq(projects.id, token.project))
    expect((await act(id, 'start')).body.code).toBe('quota_exceeded')
  })

  it('touch moves the deadlines', async () => {
    const id = await running({ ttl_seconds: 100 })
    const before = (await get(id)).body
    const after = (await act(id, 'touch', { ttl_seconds: 1000 })).body
    expect(Date.parse(after.expires_at) - Date.parse(before.expires_at)).toBeGreaterThan(890_000)
    expect((await act(id, 'touch')).status).toBe(200)
    expect((await cluster.desired())[0]!.touches).toBe(2)
  })

  it('delete is legal from every state, hides it at once and leaves a tombstone until the agent says absent', async () => {
    for (const upTo of ['starting', 'running', 'stopping', 'failed'] as const) {
      const { id } = (await create()).body
      if (upTo !== 'starting')
        await cluster.report([
          { id, phase: upTo === 'failed' ? 'ended' : upTo, ...(upTo === 'failed' ? { cause: 'failed' as const } : {}) },
        ])
      expect((await api.call('DELETE', `/v1/sessions/${id}`, { token })).status).toBe(204)
      expect((await get(id)).status).toBe(404)
      expect((await cluster.desired()).find(item => item.id === id)).toMatchObject({ state: 'deleted' })
      await cluster.report([{ id, phase: 'absent' }])
      expect(await cluster.desired()).toEqual([])
    }
  })

  it('50 verbs at once on one session and reports between them deadlock nobody', async () => {
    const id = await running({ ttl_seconds: 100 })
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        if (i % 5 === 4) return cluster.report([{ id, phase: 'running', idle_ms: i * 1000 }]).then(() => 200)
        return (await act(id, ['touch', 'stop', 'start', 'restart'][i % 4]!)).status
      }),
    )
    for (const status of answers) expect([200, 409]).toContain(status)
  })
})

describe('time', () => {
  it('the sweep ends what is overdue, also when its agent is away', async () => {
    const { id } = (await create({ ttl_seconds: 100 })).body
    await cluster.report([{ id, phase: 'running' }])
    await api.db.execute(sql`update sessions set expires_at = clock_timestamp() - interval '1 second' where id = ${id}`)
    await sweep()
    expect((await get(id)).body.status).toBe('stopping')
    await cluster.report([{ id, phase: 'ended', cause: 'stopped' }])
    expect((await get(id)).body).toMatchObject({ status: 'expired', termination_reason: 'ttl' })
  })

  it('a silent cluster makes its sessions unreachable, not gone', async () => {
    const { id } = (await create()).body
    await cluster.report([{ id, phase: 'running' }])
    await cluster.goOffline()
    expect((await get(id)).body.status).toBe('unreachable')
    expect((await api.call('GET', '/v1/sessions?status=unreachable', { token })).body.data).toHaveLength(1)
    expect((await create()).body).toMatchObject({ status: 'queued', queue: { reason: expect.stringContaining('offline') } })
  })
})

describe('lists and walls', () => {
  it('pages newest first, and filters', async () => {
    for (let i = 0; i < 5; i++) await create({ labels: { n: String(i % 2) }, name: `s${i}` })
    const first = (await api.call('GET', '/v1/sessions?limit=2', { token })).body
    expect(first).toMatchObject({ object: 'list', has_more: true })
    expect(first.data.map((s: { name: string }) => s.name)).toEqual(['s4', 's3'])
    const second = (await api.call('GET', `/v1/sessions?limit=3&cursor=${first.next_cursor}`, { token })).body
    expect(second.data.map((s: { name: string }) => s.name)).toEqual(['s2', 's1', 's0'])
    expect(second).toMatchObject({ has_more: false, next_cursor: null })
    expect((await api.call('GET', '/v1/sessions?labels=n%3D1', { token })).body.data).toHaveLength(2)
    expect((await api.call('GET', '/v1/sessions?status=active', { token })).body.data).toHaveLength(5)
    expect((await api.call('GET', '/v1/sessions?status=ended', { token })).body.data).toHaveLength(0)
    for (const bad of ['limit=0', 'limit=101', 'limit=1.5', 'cursor=%00', 'cursor=zz', 'status=nope', 'labels=x']) {
      expect((await api.call('GET', `/v1/sessions?${bad}`, { token })).status, bad).toBe(422)
    }
  })

  it('other projects see nothing, and cannot tell it from missing', async () => {
    const { id } = (await create()).body
    const stranger = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'sessions:connect'] })
    const missing = await get('ses_000000000000000000000', stranger)
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['PATCH', ''],
      ['POST', '/stop'],
      ['POST', '/touch'],
      ['POST', '/tickets'],
      ['GET', '/screenshot'],
      ['GET', '/logs'],
      ['GET', '/events'],
      ['GET', '/files/x'],
    ] as const) {
      const body = method === 'POST' || method === 'PATCH' ? (path === '/tickets' ? { stream: 'vnc' } : {}) : undefined
      const answer = await api.call(method, `/v1/sessions/${id}${path}`, { token: stranger, ...(body ? { body } : {}) })
      expect([answer.status, answer.body.detail], `${method} ${path}`).toEqual([404, missing.body.detail])
    }
    expect((await api.call('GET', '/v1/sessions', { token: stranger })).body.data).toEqual([])
  })
})
