/** Who watches, and handing control over, against real Postgres: what each open screen may do is computed from rows. */
import { and, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { audit, events, grants, sessions } from '#db/schema.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

let api: ApiFixture
let ann: Minted
let bob: Minted
let id: string
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000, loginsPerMinute: 100_000 })
  await loadBuiltinTemplates(api.db)
  const cluster = await new FakeCluster(api).connect()
  const scopes = ['sessions:read', 'sessions:write', 'sessions:connect'] as const
  ann = await api.mint({ user: 'ann', scopes: [...scopes] })
  bob = await api.mint({ project: ann.project, user: 'bob', scopes: [...scopes] })
  id = (await api.call('POST', '/v1/sessions', { token: ann, body: { template: 'chromium' } })).body.id
  await cluster.report([{ id, phase: 'running' }])
})
afterAll(() => api?.close())
beforeEach(async () => {
  await api.db.update(grants).set({ closed_at: new Date() })
  await api.db.update(sessions).set({ control: 'shared', control_holder: null })
})

/** Opens a screen with a ticket; the stub tunnel refuses at the very end, but the grant stands. */
async function open(ticket: { ticket: string; viewer: string }): Promise<string> {
  await api.app.request(`${origin}/v1/sessions/${id}/vnc?ticket=${ticket.ticket}`, { headers: { upgrade: 'websocket' } })
  expect(api.tunnel.opened.at(-1)!.id).toBe(ticket.viewer)
  return ticket.viewer
}
const byToken = async (token: Minted, role: 'view' | 'control' = 'control') =>
  open((await api.call('POST', `/v1/sessions/${id}/tickets`, { token, body: { stream: 'vnc', role } })).body)
async function byLink(role: 'view' | 'control') {
  const link = (await api.call('POST', `/v1/sessions/${id}/links`, { token: ann, body: { role } })).body
  const secret = new URL(link.url).hash.slice(1)
  return {
    secret,
    link: link.id,
    viewer: await open((await api.call('POST', '/v1/links/tickets', { body: { link: secret } })).body),
  }
}
const viewers = (token: Minted = ann) => api.call('GET', `/v1/sessions/${id}/viewers`, { token })
const control = (body: object, token: Minted = ann) => api.call('PUT', `/v1/sessions/${id}/control`, { token, body })
const roles = async () =>
  Object.fromEntries((await viewers()).body.data.map((viewer: { id: string; role: string }) => [viewer.id, viewer.role]))

describe('viewers', () => {
  it('are told with role and origin; addresses only to the session’s user and admins', async () => {
    const own = await byToken(ann)
    const shared = await byLink('view')
    const { body } = await viewers()
    expect(body.control).toEqual({ mode: 'shared', viewer: null })
    expect(body.data).toEqual([
      expect.objectContaining({
        id: shared.viewer,
        via: 'link',
        link: shared.link,
        role: 'view',
        granted_role: 'view',
        user: 'ann',
      }),
      expect.objectContaining({ id: own, via: 'token', link: null, role: 'control', address: '192.0.2.1' }),
    ])
    expect((await viewers(bob)).body.data.map((viewer: { address: unknown }) => viewer.address)).toEqual([null, null])
    expect((await viewers(api.admin)).body.data[0].address).toBe('192.0.2.1')
    expect((await viewers(await api.mint({ scopes: ['sessions:read'] }))).status).toBe(404)
  })
})

describe('control', () => {
  it('shared: everybody let in with it; single: only its holder; taken back: only the session’s user', async () => {
    const [own, friend, eyes] = [await byToken(ann), await byLink('control'), await byLink('view')]
    expect(await roles()).toEqual({ [own]: 'control', [friend.viewer]: 'control', [eyes.viewer]: 'view' })
    expect((await control({ mode: 'single' })).status).toBe(200)
    expect(await roles()).toEqual({ [own]: 'control', [friend.viewer]: 'view', [eyes.viewer]: 'view' })
    const given = await control({ mode: 'single', viewer: friend.viewer })
    expect(given.body.control).toEqual({ mode: 'single', viewer: friend.viewer })
    expect(await roles()).toEqual({ [own]: 'view', [friend.viewer]: 'control', [eyes.viewer]: 'view' })
    expect(api.tunnel.rechecked.at(-1)!.toSorted()).toEqual([own, friend.viewer, eyes.viewer].toSorted())
    await control({ mode: 'single', viewer: null })
    expect(await roles()).toEqual({ [own]: 'control', [friend.viewer]: 'view', [eyes.viewer]: 'view' })
    await control({ mode: 'shared' })
    expect(await roles()).toEqual({ [own]: 'control', [friend.viewer]: 'control', [eyes.viewer]: 'view' })
  })

  it('falls back to the session’s user when its holder leaves, with nothing to clean up', async () => {
    const [own, friend] = [await byToken(ann), await byLink('control')]
    await control({ mode: 'single', viewer: friend.viewer })
    await api.db.update(grants).set({ closed_at: new Date() }).where(eq(grants.id, friend.viewer))
    expect((await viewers()).body.control).toEqual({ mode: 'single', viewer: null })
    expect(await roles()).toEqual({ [own]: 'control' })
  })

  it('who comes later gets what is left for it', async () => {
    await control({ mode: 'single' })
    await byLink('control')
    expect(api.tunnel.opened.at(-1)!.role).toBe('view')
    await byToken(bob)
    expect(api.tunnel.opened.at(-1)!.role).toBe('view')
    await byToken(ann)
    expect(api.tunnel.opened.at(-1)!.role).toBe('control')
  })

  it('a link’s holder may ask what it may do now, about its own screens only', async () => {
    const [friend, other] = [await byLink('control'), await byLink('control')]
    const ask = async (secret: string, viewer: string) =>
      (await api.call('POST', '/v1/links/open', { body: { link: secret, viewer } })).body
    expect(await ask(friend.secret, friend.viewer)).toMatchObject({ role_now: 'control', control_mode: 'shared' })
    await control({ mode: 'single', viewer: other.viewer })
    expect(await ask(friend.secret, friend.viewer)).toMatchObject({ role: 'control', role_now: 'view', control_mode: 'single' })
    expect(await ask(friend.secret, other.viewer)).toMatchObject({ role_now: null })
  })

  it('is decided by the session’s user and admins; never beyond how somebody was let in', async () => {
    const eyes = await byLink('view')
    const scripts = await api.db
      .select({ id: grants.id })
      .from(grants)
      .where(and(eq(grants.session_id, id), sql`${grants.closed_at} is not null`))
    expect((await control({ mode: 'single' }, bob)).status).toBe(403)
    expect((await control({ mode: 'single' }, api.admin)).status).toBe(200)
    expect((await control({ mode: 'single', viewer: eyes.viewer })).status).toBe(409)
    expect((await control({ mode: 'single', viewer: 'str_nobody' })).status).toBe(404)
    expect((await control({ mode: 'single', viewer: scripts[0]!.id })).status).toBe(404)
    expect((await control({ mode: 'shared', viewer: eyes.viewer })).status).toBe(422)
    expect((await control({ mode: 'sometimes' })).status).toBe(422)
    const stranger = await api.mint({ scopes: ['sessions:connect'] })
    expect((await control({ mode: 'single' }, stranger)).status).toBe(404)
  })

  it('may be asked for: told once, seen among the viewers, over with the decision', async () => {
    const [friend, eyes] = [await byLink('control'), await byLink('view')]
    const ask = (secret: string, viewer: string) => api.call('POST', '/v1/links/ask', { body: { link: secret, viewer } })
    const told = async () => (await api.db.select().from(events).where(eq(events.type, 'session.control_asked'))).length
    expect((await ask(friend.secret, friend.viewer)).status).toBe(409)
    await control({ mode: 'single' })
    expect((await ask(eyes.secret, eyes.viewer)).status).toBe(409)
    expect((await ask(friend.secret, eyes.viewer)).status).toBe(404)
    const answer = await ask(friend.secret, friend.viewer)
    expect([answer.status, answer.body.role_now]).toEqual([200, 'view'])
    expect(Date.parse(answer.body.asked_at)).not.toBeNaN()
    await ask(friend.secret, friend.viewer)
    expect(await told()).toBe(1)
    const [event] = await api.db.select().from(events).where(eq(events.type, 'session.control_asked'))
    expect(event).toMatchObject({ session_id: id, data: { session_id: id, viewer: friend.viewer, link: friend.link } })
    const asking = (await viewers()).body.data.filter((viewer: { asked_at: unknown }) => viewer.asked_at)
    expect(asking.map((viewer: { id: string }) => viewer.id)).toEqual([friend.viewer])
    await control({ mode: 'single', viewer: friend.viewer })
    expect((await viewers()).body.data.every((viewer: { asked_at: unknown }) => viewer.asked_at === null)).toBe(true)
    expect(
      (await api.call('POST', '/v1/links/open', { body: { link: friend.secret, viewer: friend.viewer } })).body,
    ).toMatchObject({
      role_now: 'control',
      asked_at: null,
    })
  })

  it('each change is in the audit and in the session', async () => {
    await control({ mode: 'single' })
    const rows = await api.db.select().from(audit).where(eq(audit.action, 'session.control')).orderBy(audit.seq)
    expect(rows.at(-1)).toMatchObject({ target: id, detail: { mode: 'single', viewer: null } })
    expect((await api.call('GET', `/v1/sessions/${id}`, { token: ann })).body.control).toEqual({ mode: 'single', viewer: null })
  })
})
