import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, projects, sessions, tokens } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { newId } from '../ids.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { takeQuota } from './quotas.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
})
afterAll(() => api?.close())

const make = (body: unknown, token: Minted = api.admin) => api.call('POST', '/v1/projects', { token, body })
const patch = (id: string, body: unknown) => api.call('PATCH', `/v1/projects/${id}`, { token: api.admin, body })

async function put(
  project: string,
  status: 'queued' | 'stopped' | 'failed' | 'expired',
  amounts: { cpu_millis?: number; memory_bytes?: number } = {},
  db: Pick<typeof api.db, 'insert'> = api.db,
) {
  const final = status !== 'queued'
  const id = newId('ses')
  await db.insert(sessions).values({
    id,
    project_id: project,
    user_id: 'ann',
    created_by: 'tok_x',
    template_id: 'chromium',
    spec: { kind: 'browser', headless: false } as SessionSpec,
    status: status,
    ended_at: final ? new Date() : null,
    ...amounts,
  })
  return id
}

describe('projects', () => {
  it('are made by admins with quotas as quantities, inside `quotas` or beside the name', async () => {
    const made = await make({
      name: 'Team A',
      quotas: { max_sessions: 5, max_cpu: '2500m', max_memory: '10Gi' },
      max_storage: '1Ti',
    })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      object: 'project',
      name: 'Team A',
      quotas: {
        max_sessions: 5,
        max_cpu: '2500m',
        max_memory: '10Gi',
        max_storage: '1Ti',
        max_jobs: null,
        requests_per_minute: null,
      },
      usage: { sessions: 0, cpu: '0', memory: '0', storage: '0', jobs: 0, streams: 0 },
      suspended_at: null,
    })
    expect(made.body.id).toMatch(/^prj_[0-9a-z]{1,32}$/)
    const token = await api.call('POST', '/v1/tokens', {
      token: api.admin,
      body: { name: 'x', project: made.body.id, user: 'ann' },
    })
    expect(token.body.token).toMatch(new RegExp(`^vnc-sk-proj-${made.body.id.slice(4)}-ann-`))
    expect((await api.call('GET', '/v1/me', { token: token.body.token })).body.project.name).toBe('Team A')
  })

  it.each<[string, unknown, string]>([
    ['no name', {}, '/name'],
    ['an empty name', { name: '' }, '/name'],
    ['a negative count', { name: 'x', max_sessions: -1 }, '/max_sessions'],
    ['half a session', { name: 'x', quotas: { max_sessions: 0.5 } }, '/quotas/max_sessions'],
    ['cpu in words', { name: 'x', quotas: { max_cpu: 'two' } }, '/quotas/max_cpu'],
    ['negative memory', { name: 'x', quotas: { max_memory: '-1Gi' } }, '/quotas/max_memory'],
    ['no requests at all', { name: 'x', quotas: { requests_per_minute: 0 } }, '/quotas/requests_per_minute'],
    ['an unknown quota', { name: 'x', quotas: { max_gpus: 1 } }, '/quotas/max_gpus'],
  ])('refuses %s', async (_, body, pointer) => {
    const answer = await make(body)
    expect(answer).toMatchObject({ status: 422 })
    expect(answer.body.errors[0].pointer).toBe(pointer)
  })

  it('a change leaves what is not given; null lifts a quota; zero is a quota', async () => {
    const { body } = await make({ name: 'b', quotas: { max_sessions: 5, max_cpu: '2' } })
    expect((await patch(body.id, { quotas: { max_cpu: null } })).body.quotas).toMatchObject({ max_sessions: 5, max_cpu: null })
    expect((await patch(body.id, { max_memory: '0', name: 'c' })).body).toMatchObject({
      name: 'c',
      quotas: { max_sessions: 5, max_memory: '0' },
    })
    const [row] = await api.db.select().from(projects).where(eq(projects.id, body.id))
    expect(row!.quotas).toMatchObject({ max_memory_bytes: 0, max_cpu_millis: null, max_sessions: 5 })
    expect((await api.db.select().from(audit).where(eq(audit.target, body.id))).map(entry => entry.action)).toEqual([
      'project.create',
      'project.update',
      'project.update',
    ])
  })

  it('others see their own only, and change none', async () => {
    const ann = await api.mint({ user: 'ann', scopes: ['sessions:read', 'tokens', 'clusters:admin'] })
    const foreign = await api.project()
    expect((await api.call('GET', `/v1/projects/${ann.project}`, { token: ann })).status).toBe(200)
    expect((await api.call('GET', `/v1/projects/${foreign}`, { token: ann })).status).toBe(404)
    expect((await api.call('GET', '/v1/projects', { token: ann })).body.data.map((p: { id: string }) => p.id)).toEqual([
      ann.project,
    ])
    expect((await make({ name: 'x' }, ann)).status).toBe(403)
    expect((await api.call('PATCH', `/v1/projects/${ann.project}`, { token: ann, body: { max_sessions: 99 } })).status).toBe(403)
    expect((await api.call('DELETE', `/v1/projects/${ann.project}`, { token: ann })).status).toBe(403)
  })

  it('suspending stops every token at once here, lifting it lets them work again', async () => {
    const ann = await api.mint({ user: 'ann' })
    const me = async () => (await api.call('GET', '/v1/me', { token: ann })).status
    expect(await me()).toBe(200)
    expect((await patch(ann.project, { suspended: true })).body.suspended_at).not.toBeNull()
    expect(await me()).toBe(401)
    await patch(ann.project, { suspended: false })
    expect(await me()).toBe(200)
    expect((await patch(api.admin.project, { suspended: true })).status).toBe(409)
  })

  it('deleting is refused while sessions live, unless forced; then everything goes', async () => {
    const ann = await api.mint({ user: 'ann' })
    await put(ann.project, 'queued')
    const refused = await api.call('DELETE', `/v1/projects/${ann.project}`, { token: api.admin })
    expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringMatching(/^1 of its sessions/) } })
    expect((await api.call('GET', '/v1/me', { token: ann })).status).toBe(200)
    expect((await api.call('DELETE', `/v1/projects/${ann.project}?force=true`, { token: api.admin })).status).toBe(204)
    expect((await api.call('GET', '/v1/me', { token: ann })).status).toBe(401)
    expect(await api.db.select().from(sessions).where(eq(sessions.project_id, ann.project))).toEqual([])
    expect(await api.db.select().from(tokens).where(eq(tokens.project_id, ann.project))).toEqual([])
    expect((await api.db.select().from(audit).where(eq(audit.target, ann.project)).orderBy(audit.seq)).at(-1)?.action).toBe(
      'project.delete',
    )
    expect((await api.call('DELETE', `/v1/projects/${api.admin.project}?force=true`, { token: api.admin })).status).toBe(409)
  })
})

describe('quotas', () => {
  it('40 racers against a limit of 5: exactly 5', async () => {
    const project = await api.project({ max_sessions: 5 })
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, () =>
        api.db.transaction(async tx => {
          await takeQuota(tx, project, { sessions: 1 })
          await put(project, 'queued', {}, tx)
        }),
      ),
    )
    expect(results.filter(result => result.status === 'fulfilled')).toHaveLength(5)
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'quota_exceeded', message: expect.stringContaining('max_sessions: 5 of 5') })
    }
    const [row] = await api.db
      .select({ n: sql`count(*)`.mapWith(Number) })
      .from(sessions)
      .where(eq(sessions.project_id, project))
    expect(row!.n).toBe(5)
  })

  it('what ended holds nothing, what lives holds what it took', async () => {
    const project = await api.project({ max_sessions: 2, max_cpu_millis: 3000, max_memory_bytes: 4 * 1024 ** 3 })
    for (const status of ['stopped', 'failed', 'expired'] as const) await put(project, status, { cpu_millis: 3000 })
    const take = (want: Parameters<typeof takeQuota>[2]) => api.db.transaction(tx => takeQuota(tx, project, want))
    await expect(take({ sessions: 2, cpu_millis: 3000, memory_bytes: 4 * 1024 ** 3 })).resolves.toBeUndefined()
    await put(project, 'queued', { cpu_millis: 2000, memory_bytes: 1024 ** 3 })
    await expect(take({ sessions: 1, cpu_millis: 1000 })).resolves.toBeUndefined()
    await expect(take({ sessions: 1, cpu_millis: 1001 })).rejects.toMatchObject({
      message: expect.stringContaining('max_cpu: 2 of 3 in use, 1001m more'),
    })
    await expect(take({ sessions: 1, memory_bytes: 3 * 1024 ** 3 + 1 })).rejects.toMatchObject({
      message: expect.stringContaining('max_memory: 1Gi of 4Gi'),
    })
    await expect(take({ sessions: 2 })).rejects.toMatchObject({ code: 'quota_exceeded', status: 403 })
  })

  it('two projects do not wait for each other', async () => {
    const [a, b] = [await api.project({ max_sessions: 1 }), await api.project({ max_sessions: 1 })]
    await api.db.transaction(async tx => {
      await takeQuota(tx, a, { sessions: 1 })
      await api.db.transaction(inner => takeQuota(inner, b, { sessions: 1 }))
    })
  })

  it('a project that is gone takes nothing', async () => {
    await expect(api.db.transaction(tx => takeQuota(tx, 'prj_none', { sessions: 1 }))).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it('use and what is left are told', async () => {
    const project = await api.project({ max_sessions: 2, max_cpu_millis: 3000 })
    await put(project, 'queued', { cpu_millis: 500, memory_bytes: 512 * 1024 ** 2 })
    const ann = await api.mint({ project, user: 'ann' })
    const { body } = await api.call('GET', '/v1/me', { token: ann })
    expect(body.usage).toEqual({ sessions: 1, cpu: '500m', memory: '512Mi', storage: '0', jobs: 0, streams: 0 })
    expect(body.remaining).toMatchObject({ max_sessions: 1, max_cpu: '2500m', max_memory: null })
  })
})
