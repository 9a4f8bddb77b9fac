/** Volumes over real Postgres: one per name, one writer, one cluster, gone only when the agent says so. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clusters, volumes } from '#db/schema.ts'
import { sweepSessions } from '../sessions/sweep.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'

let api: ApiFixture
let token: Minted
let here: FakeCluster
let there: FakeCluster
beforeAll(async () => {
  api = await apiFixture()
  await loadBuiltinTemplates(api.db)
  here = await new FakeCluster(api).connect(capable(3), 'here')
  there = await new FakeCluster(api).connect(capable(10), 'there')
  token = await api.mint({ scopes: ['sessions:read', 'sessions:write'] })
})
afterAll(() => api?.close())

const make = async (name: string, more: object = {}) =>
  (await api.call('POST', '/v1/volumes', { token, body: { name, ...more } })).body
const session = (body: object) => api.call('POST', '/v1/sessions', { token, body: { template: 'chromium', ...body } })
const gzip = { 'content-type': 'application/gzip' }
const volume = (id: string) => api.call('GET', `/v1/volumes/${id}`, { token })

describe('volumes', () => {
  it('are get-or-create by name, also for 10 at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => api.call('POST', '/v1/volumes', { token, body: { name: 'home', size: '2Gi' } })),
    )
    expect(answers.filter(a => a.status === 201)).toHaveLength(1)
    expect(new Set(answers.map(a => a.body.id)).size).toBe(1)
    expect(answers[0]!.body).toMatchObject({ object: 'volume', name: 'home', size: '2Gi', cluster: null, session: null })
  })

  it('may go without a name, and then are new each time', async () => {
    const answers = await Promise.all([1, 2].map(() => api.call('POST', '/v1/volumes', { token, body: {} })))
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    for (const { body } of answers) expect(body.name).toBe(body.id)
  })

  it('take their size of the project’s storage, also for a name at once, until they are gone', async () => {
    const project = await api.project({ max_storage_bytes: 3 * 2 ** 30 })
    const owner = await api.mint({ project, scopes: ['sessions:read', 'sessions:write'] })
    const want = (name: string, size: string) => api.call('POST', '/v1/volumes', { token: owner, body: { name, size } })
    const racers = await Promise.all(Array.from({ length: 8 }, () => want('only', '2Gi')))
    expect(racers.map(({ status }) => status).sort()).toEqual([...Array(7).fill(200), 201])
    expect(await want('more', '2Gi')).toMatchObject({
      status: 403,
      body: { code: 'quota_exceeded', errors: [{ pointer: 'max_storage' }] },
    })
    expect((await want('rest', '1Gi')).status).toBe(201)
    const me = (await api.call('GET', '/v1/me', { token: owner })).body
    expect([me.usage.storage, me.remaining.max_storage]).toEqual(['3Gi', '0'])
    await api.call('DELETE', `/v1/volumes/${racers[0]!.body.id}`, { token: owner })
    expect((await want('more', '2Gi')).status).toBe(201)
  })

  it('bind to the cluster of their first session, and later sessions follow', async () => {
    const { id } = await make('bound')
    const first = (await session({ volume: 'bound', cluster: 'here' })).body
    expect(first).toMatchObject({ volume: id, cluster: here.id })
    expect((await here.desired())[0]).toMatchObject({ spec: { volume: { id } } })
    expect((await volume(id)).body).toMatchObject({ cluster: here.id, session: first.id })
    await here.report([{ id: first.id, phase: 'ended', cause: 'failed' }])
    expect((await session({ volume: id, cluster: 'there' })).body).toMatchObject({
      status: 409,
      detail: expect.stringContaining('here'),
    })
    const second = (await session({ volume: id })).body
    expect(second.cluster).toBe(here.id)
    await here.report([{ id: second.id, phase: 'ended', cause: 'failed' }])
  })

  it('have one writer at a time, however many race', async () => {
    const { id } = await make('raced')
    const answers = await Promise.all(Array.from({ length: 10 }, () => session({ volume: id })))
    expect(answers.filter(a => a.status === 201)).toHaveLength(1)
    expect(answers.filter(a => a.status === 409)).toHaveLength(9)
    expect((await api.call('DELETE', `/v1/volumes/${id}`, { token })).body).toMatchObject({
      status: 409,
      detail: expect.stringContaining('ses_'),
    })
  })

  it('are waited for while the session that had them ends, by sessions, archives and their own end', async () => {
    const { id } = await make('handed', { cluster: 'there' })
    const last = (await session({ volume: id })).body.id
    expect((await api.call('DELETE', `/v1/sessions/${last}`, { token })).status).toBe(204)
    const next = session({ volume: id })
    const archive = api.call('GET', `/v1/volumes/${id}/archive`, { token })
    expect(await Promise.race([next, archive, new Promise(resolve => setTimeout(resolve, 100, 'they wait'))])).toBe('they wait')
    await there.report([{ id: last, phase: 'absent' }])
    const { status, body } = await next
    expect([status, body.volume]).toEqual([201, id])
    await archive
    await api.call('DELETE', `/v1/sessions/${body.id}`, { token })
    const end = api.call('DELETE', `/v1/volumes/${id}`, { token })
    await there.report([{ id: body.id, phase: 'absent' }])
    expect((await end).status).toBe(204)
    await there.report([], { absentVolumes: [id] })
  })

  it('a queued session gets its volume’s cluster when there is room', async () => {
    const { id } = await make('queued', { cluster: 'here' })
    const fill = await Promise.all(Array.from({ length: 3 }, () => session({ cluster: 'here' })))
    const waiting = (await session({ volume: id })).body
    expect(waiting.status).toBe('queued')
    const one = fill.find(a => a.body.cluster === here.id)!.body
    await here.report([{ id: one.id, phase: 'ended', cause: 'failed' }])
    await sweepSessions({ db: api.db, tunnel: api.tunnel, origin })
    expect((await api.call('GET', `/v1/sessions/${waiting.id}`, { token })).body).toMatchObject({
      status: 'starting',
      cluster: here.id,
    })
  })

  it('deleted: hidden at once, told to the agent, forgotten when it says absent', async () => {
    const { id } = await make('doomed', { cluster: 'there' })
    expect((await api.call('DELETE', `/v1/volumes/${id}`, { token })).status).toBe(204)
    expect((await volume(id)).status).toBe(404)
    expect(await there.deletedVolumes()).toEqual([id])
    await there.report([], { absentVolumes: [id] })
    expect(await api.db.select().from(volumes).where(eq(volumes.id, id))).toEqual([])
    expect((await make('doomed')).id).not.toBe(id)
  })

  it('an archive is the beginning of a new volume where one cluster could keep it; which of several is not guessed', async () => {
    api.tunnel.http = () => new Response(null, { status: 204 })
    const sent = async (name: string) => {
      const { id } = await make(name)
      const { status } = await api.call('PUT', `/v1/volumes/${id}/archive`, { token, body: 'tar', headers: gzip })
      return [status, (await volume(id)).body.cluster]
    }
    expect(await sent('of-two')).toEqual([409, null])
    const capabilities = { ...capable(3), features: ['display'] }
    await api.db.update(clusters).set({ capabilities }).where(eq(clusters.id, here.id))
    expect(await sent('of-one')).toEqual([204, there.id])
    await api.db
      .update(clusters)
      .set({ capabilities: capable(3) })
      .where(eq(clusters.id, here.id))
  })

  it('what is no archive is refused with a pointer at the body', async () => {
    const { id } = await make('no-archive', { cluster: 'there' })
    api.tunnel.http = () => Response.json({ code: 'invalid', detail: 'not in gzip format' }, { status: 422 })
    const { status, body } = await api.call('PUT', `/v1/volumes/${id}/archive`, { token, body: 'tar', headers: gzip })
    expect([status, body.errors]).toEqual([422, [{ pointer: '', detail: 'not in gzip format' }]])
  })

  it('archives go through the tunnel, and only of volumes nobody writes to', async () => {
    const { id } = await make('archived', { cluster: 'there' })
    api.tunnel.http = (_, body) => (body ? new Response(null, { status: 204 }) : new Response('tar'))
    const download = await api.app.request(`${origin}/v1/volumes/${id}/archive`, {
      headers: { authorization: `Bearer ${token.token}` },
    })
    expect([download.status, download.headers.get('content-type'), await download.text()]).toEqual([
      200,
      'application/gzip',
      'tar',
    ])
    expect(api.tunnel.opened.at(-1)).toMatchObject({
      kind: 'http',
      session: id,
      target: { volume: id, request: { method: 'GET', path: '/archive' } },
    })
    expect(
      (
        await api.call('PUT', `/v1/volumes/${id}/archive`, {
          token,
          body: 'tar',
          headers: { 'content-type': 'application/gzip' },
        })
      ).status,
    ).toBe(204)
    await session({ volume: id })
    expect((await api.call('GET', `/v1/volumes/${id}/archive`, { token })).status).toBe(409)
  })

  it('are another project’s 404', async () => {
    const { id } = await make('mine')
    const stranger = await api.mint({ scopes: ['sessions:read', 'sessions:write'] })
    expect((await api.call('GET', `/v1/volumes/${id}`, { token: stranger })).status).toBe(404)
    expect((await api.call('DELETE', `/v1/volumes/${id}`, { token: stranger })).status).toBe(404)
    expect((await api.call('POST', '/v1/sessions', { token: stranger, body: { template: 'chromium', volume: id } })).status).toBe(
      422,
    )
  })

  it.each([{ name: '' }, { name: '../x' }, { name: 'x', size: 'big' }, { name: 'x'.repeat(64) }, { name: null }])(
    'refuses %j',
    async body => {
      expect((await api.call('POST', '/v1/volumes', { token, body })).status).toBe(422)
    },
  )
})
