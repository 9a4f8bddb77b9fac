import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, clusters, enrollments, events, grants, type SessionStatus, sessions } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { newId } from '../ids.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { isSecret } from '../tokens/format.ts'
import { installCommands } from './enrollment.ts'
import { type ClusterRow, clusterStatus } from './view.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
})
afterAll(() => api?.close())

const make = (body: unknown, token: Minted = api.admin) => api.call('POST', '/v1/clusters', { token, body })
const get = (id: string, token: Minted = api.admin) => api.call('GET', `/v1/clusters/${id}`, { token })

/** As an agent's hello and reports leave it. */
const connect = (id: string) =>
  api.db.execute(sql`update clusters set agent_id = ${newId('agt')}, link_replica_id = 'rep_test', link_since = clock_timestamp(),
    link_seen_at = clock_timestamp(), capabilities = ${JSON.stringify(capabilities)}::jsonb where id = ${id}`)
const capabilities = {
  runtime: 'local',
  kinds: ['browser', 'desktop'],
  browsers: ['chromium'],
  features: ['display'],
  versions: { chromium: '156' },
  notes: ['a note'],
  capacity: { sessions: 4, cpu_millis: 8000, memory_bytes: null },
}

async function session(cluster: string, status: SessionStatus, project: string): Promise<string> {
  const id = newId('ses')
  const final = ['stopped', 'failed', 'expired'].includes(status)
  await api.db.insert(sessions).values({
    id,
    project_id: project,
    user_id: 'ann',
    created_by: 'tok_x',
    template_id: 'chromium',
    cluster_id: cluster,
    spec: { kind: 'browser', headless: false, display: { width: 800, height: 600 }, labels: {}, egress: {} } as SessionSpec,
    status,
    ended_at: final ? new Date() : null,
  })
  return id
}
const rowOf = async (id: string) => (await api.db.select().from(sessions).where(eq(sessions.id, id)))[0]!

describe('registering', () => {
  it('answers an enrolment once: join token, its end, and lines to paste', async () => {
    const { status, body } = await make({ name: 'edge-1', labels: { zone: 'a' } })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      object: 'cluster',
      name: 'edge-1',
      labels: { zone: 'a' },
      status: 'pending',
      connected: false,
      project: null,
      scheduling: 'open',
      capabilities: null,
    })
    const { token, command, commands, expires_at } = body.enrollment
    expect(isSecret('join', token)).toBe(true)
    expect(command).toBe(commands.kubernetes)
    expect(command).toMatch(/^helm install porthole-agent .*--set url=http:\/\/porthole\.test --set joinToken=vnc-join-/)
    expect(commands.local).toMatch(/^PORTHOLE_URL=http:\/\/porthole\.test PORTHOLE_JOIN_TOKEN=vnc-join-\S+ .*npm run agent$/)
    expect(new Date(expires_at).getTime() - Date.now()).toBeGreaterThan(3_500_000)
    expect((await get(body.id)).body.enrollment).toBeUndefined()
    const dump =
      await api.db.execute(sql`select (select json_agg(e) from enrollments e)::text || (select json_agg(e) from events e)::text
      || (select json_agg(a) from audit a)::text as everything`)
    expect(String(dump[0]!.everything)).not.toContain(token.slice('vnc-join-'.length))
    expect((await api.db.select().from(audit).where(eq(audit.target, body.id))).map(row => row.action)).toEqual([
      'cluster.create',
    ])
    expect((await api.db.select().from(events)).some(event => event.type === 'cluster.created')).toBe(true)
  })

  it('a new join token does not end the older one, and may live up to a week', async () => {
    const { body } = await make({ name: 'again' })
    const enrolled = await api.call('POST', `/v1/clusters/${body.id}/enroll`, {
      token: api.admin,
      body: { expires_in_seconds: 86_400 },
    })
    expect(enrolled.status).toBe(201)
    expect(enrolled.body.enrollment.token).not.toBe(body.enrollment.token)
    expect(new Date(enrolled.body.enrollment.expires_at).getTime() - Date.now()).toBeGreaterThan(86_000_000)
    expect(await api.db.select().from(enrollments).where(eq(enrollments.cluster_id, body.id))).toHaveLength(2)
    const plain = await api.call('POST', `/v1/clusters/${body.id}/enroll`, { token: api.admin })
    expect(plain.status).toBe(201)
  })

  it('names are unique among the shared and within a project; 10 racers make one', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => make({ name: 'one' })))
    expect(answers.map(a => a.status).sort()).toEqual([201, ...Array(9).fill(409)])
    const ann = await api.mint({ scopes: ['clusters:admin', 'clusters:read'] })
    const own = await make({ name: 'one' }, ann)
    expect(own.body.project).toBe(ann.project)
    const other = (await make({ name: 'two' }, ann)).body
    const renamed = await api.call('PATCH', `/v1/clusters/${other.id}`, { token: ann, body: { name: 'one' } })
    expect(renamed).toMatchObject({ status: 409, body: { code: 'conflict' } })
  })

  it.each<[string, unknown, string]>([
    ['no name', {}, '/name'],
    ['a name that a shell reads', { name: 'a;rm -rf' }, '/name'],
    ['a name in upper case', { name: 'Edge' }, '/name'],
    ['a name of 64', { name: 'x'.repeat(64) }, '/name'],
    ['labels as a list', { name: 'x', labels: ['a'] }, '/labels'],
    ['a label value with a space', { name: 'x', labels: { a: 'b c' } }, '/labels/a'],
    ['a project that is not', { name: 'x', project: 'prj_none' }, '/project'],
    ['an unknown field', { name: 'x', token: 'mine' }, '/token'],
  ])('refuses %s', async (_, body, pointer) => {
    const answer = await make(body)
    expect(answer.status).toBe(422)
    expect(answer.body.errors[0].pointer).toBe(pointer)
  })

  it('commands hold nothing that a shell reads otherwise', () => {
    const commands = installCommands('https://porthole.example:8443', 'vnc-join-abc')
    for (const line of Object.values(commands)) expect(line).toMatch(/^[\w =:/.-]+$/)
  })

  it('name the images where the operator said they are', () => {
    const plain = installCommands('https://porthole.example', 'vnc-join-abc').kubernetes
    expect(plain).not.toContain('images.')
    expect(installCommands('https://porthole.example', 'vnc-join-abc', 'registry.example:5000/a/porthole:1.0').kubernetes).toBe(
      `${plain} --set images.prefix=registry.example:5000/a/porthole --set images.tag=1.0`,
    )
  })
})

describe('who sees and changes which', () => {
  it('shared ones are seen by all and changed by admins; own ones are the project’s; others’ are not there', async () => {
    const ann = await api.mint({ scopes: ['clusters:admin', 'clusters:read'] })
    const eve = await api.mint({ scopes: ['clusters:admin', 'clusters:read'] })
    const shared = (await make({ name: 'shared' })).body.id
    const own = (await make({ name: 'own' }, ann)).body.id
    expect((await get(shared, ann)).status).toBe(200)
    expect((await get(own, ann)).status).toBe(200)
    expect((await get(own)).status).toBe(200)
    const seen = (await api.call('GET', '/v1/clusters?limit=100', { token: eve })).body.data.map((c: { id: string }) => c.id)
    expect(seen).toContain(shared)
    expect(seen).not.toContain(own)
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { labels: {} }],
      ['DELETE', '', undefined],
      ['POST', '/enroll', undefined],
      ['POST', '/drain', undefined],
    ] as const) {
      expect((await api.call(method, `/v1/clusters/${own}${path}`, { token: eve, body })).status).toBe(404)
      if (method !== 'GET')
        expect((await api.call(method, `/v1/clusters/${shared}${path}`, { token: eve, body })).status).toBe(403)
    }
    expect((await make({ name: 'x', project: ann.project }, eve)).status).toBe(403)
  })
})

describe('state', () => {
  const now = new Date('2026-01-01T00:01:00.000Z')
  const row = (change: Partial<ClusterRow>) =>
    ({ agent_id: 'agt_x', link_replica_id: 'rep_x', link_seen_at: null, ...change }) as ClusterRow
  const ago = (ms: number) => new Date(now.getTime() - ms)
  it.each<[Partial<ClusterRow>, string]>([
    [{ agent_id: null }, 'pending'],
    [{}, 'offline'],
    [{ link_seen_at: ago(0) }, 'online'],
    [{ link_seen_at: ago(44_999) }, 'online'],
    [{ link_seen_at: ago(45_000) }, 'offline'],
    [{ link_seen_at: ago(0), link_replica_id: null }, 'offline'],
  ])('%j is %s', (change, status) => expect(clusterStatus(row(change), now)).toBe(status))

  it('is told with capabilities, capacity and load, and filtered alike in SQL', async () => {
    const { id } = (await make({ name: 'live' })).body
    await connect(id)
    expect((await get(id)).body).toMatchObject({
      status: 'online',
      connected: true,
      runtime: 'local',
      capacity: { sessions: 4, cpu_millis: 8000, memory_bytes: null },
      capabilities: { browsers: ['chromium'], notes: ['a note'] },
    })
    const found = async (status: string) =>
      (await api.call('GET', `/v1/clusters?name=live&status=${status}`, { token: api.admin })).body.data.length
    expect([await found('online'), await found('offline'), await found('pending')]).toEqual([1, 0, 0])
    await api.db.execute(sql`update clusters set link_seen_at = clock_timestamp() - interval '46 seconds' where id = ${id}`)
    expect((await get(id)).body).toMatchObject({ status: 'offline', connected: false })
    expect([await found('online'), await found('offline'), await found('pending')]).toEqual([0, 1, 0])
    await api.db.execute(sql`update clusters set link_replica_id = null where id = ${id}`)
    expect([await found('online'), await found('offline')]).toEqual([0, 1])
  })
})

describe('draining', () => {
  it('asks every live session to stop, once, tells the agent, ends streams, and can be undone', async () => {
    const { id } = (await make({ name: 'drained' })).body
    await connect(id)
    const { project } = api.admin
    const live = [await session(id, 'starting', project), await session(id, 'running', project)]
    const stopping = await session(id, 'stopping', project)
    const over = await session(id, 'stopped', project)
    const stream = newId('str')
    await api.db.insert(grants).values({
      id: stream,
      project_id: project,
      session_id: live[1]!,
      cluster_id: id,
      user_id: 'ann',
      kind: 'vnc',
      role: 'control',
      replica_id: 'rep_test',
      key_hash: new Uint8Array(32),
    })
    const seqs = new Set<number>()
    const drained = await api.call('POST', `/v1/clusters/${id}/drain`, { token: api.admin })
    expect(drained).toMatchObject({ status: 200, body: { scheduling: 'draining' } })
    for (const one of live) {
      const row = await rowOf(one)
      expect(row).toMatchObject({ status: 'stopping', desired: 'stopped', ending_reason: 'drained' })
      seqs.add(row.change_seq)
    }
    expect(seqs.size).toBe(2)
    expect((await rowOf(stopping)).ending_reason).toBeNull()
    expect((await rowOf(over)).status).toBe('stopped')
    expect(api.tunnel.nudged.at(-1)).toBe(id)
    expect(api.tunnel.ended.at(-1)).toMatchObject({ streams: [stream], word: 'target_ended' })

    await api.call('POST', `/v1/clusters/${id}/drain`, { token: api.admin, body: { drain: true } })
    expect((await rowOf(live[0]!)).change_seq).toBe([...seqs].sort((a, b) => a - b)[0])
    const set = async (body: unknown) =>
      (await api.call('POST', `/v1/clusters/${id}/drain`, { token: api.admin, body })).body.scheduling
    expect(await set({ cordon: true })).toBe('cordoned')
    expect(await set({ drain: false })).toBe('open')
    expect(
      (await api.call('POST', `/v1/clusters/${id}/drain`, { token: api.admin, body: { drain: true, cordon: true } })).status,
    ).toBe(422)
  })
})

describe('removing', () => {
  it('is refused while sessions live; forced, they are told as failed with the reason', async () => {
    const { id } = (await make({ name: 'doomed' })).body
    const { project } = api.admin
    const live = await session(id, 'running', project)
    const over = await session(id, 'stopped', project)
    const tombstone = await session(id, 'stopping', project)
    await api.db.update(sessions).set({ desired: 'deleted' }).where(eq(sessions.id, tombstone))
    const refused = await api.call('DELETE', `/v1/clusters/${id}`, { token: api.admin })
    expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringMatching(/^1 sessions live there/) } })
    expect((await rowOf(live)).status).toBe('running')
    expect((await api.call('DELETE', `/v1/clusters/${id}?force=true`, { token: api.admin })).status).toBe(204)
    expect(await rowOf(live)).toMatchObject({
      status: 'failed',
      cluster_id: null,
      status_reason: 'Its cluster doomed was removed while it lived.',
    })
    expect(await rowOf(over)).toMatchObject({ status: 'stopped', cluster_id: null })
    expect(await rowOf(tombstone)).toBeUndefined()
    expect(await api.db.select().from(clusters).where(eq(clusters.id, id))).toEqual([])
    const told = await api.db.select().from(events).where(eq(events.session_id, live))
    expect(told.at(-1)!.data).toMatchObject({ session: { id: live, status: 'failed' } })
    expect((await get(id)).status).toBe(404)
    expect((await api.call('DELETE', `/v1/clusters/${id}`, { token: api.admin })).status).toBe(404)
  })
})
