/** Terminals over the real server and Postgres; the agent is played by the protocol alone. */
import { once } from 'node:events'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { audit, grants, projects, sessions, terminals, tokens } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import { newId } from '../ids.ts'
import { jsonLog } from '../node/log.ts'
import { sha256 } from '../node/platform.ts'
import { capabilities, dialData, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { Refusal } from '../testing/platform-api.ts'
import { mintUserToken } from '../tokens/format.ts'
import { sweepTerminals } from './sweep.ts'

let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let session: string
let opens: Open[]
let shells: WebSocket[]
let reports = 0
/** Answers to `open`: by default a shell that says back what is typed. */
let refuses: { status: number; code: string; detail: string } | null

beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  link = await agent.dial()
  link.hello({ capabilities: { ...capabilities, features: ['exec'] } })
  await link.next('snapshot')
  session = await api.session(agent.cluster)
  link.serve(async open => {
    opens.push(open)
    if (refuses) return link.send({ type: 'refused', stream: open.stream, ...refuses })
    shells.push(await dialData(open, ws => ws.on('message', (data, binary) => ws.send(data, { binary }))))
  })
})
afterAll(() => api?.close())
beforeEach(() => {
  opens = []
  shells = []
  refuses = null
})

async function call(method: string, path: string, body?: unknown, token = api.admin) {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  return { status: answer.status, body: (text ? JSON.parse(text) : null) as any }
}
const made = async (part: object = {}, token?: string) => (await call('POST', '/v1/terminals', { session, ...part }, token)).body
const row = async (id: string) => (await api.db.select().from(terminals).where(eq(terminals.id, id)))[0]
async function stranger(scopes: string[], change: Partial<typeof tokens.$inferInsert> = {}) {
  const project = change.project_id ?? newId('prj')
  await api.db
    .insert(projects)
    .values({ id: project, name: project, quotas: {} as never })
    .onConflictDoNothing()
  const token = mintUserToken(project, 'ann')
  const id = newId('tok')
  const hash = sha256(token)
  await api.db
    .insert(tokens)
    .values({ id, project_id: project, user_id: 'ann', name: id, hash, last4: 'last', scopes, ...change })
  return { id, token, project }
}
function report(list: Partial<ObservedTerminal>[], complete = false): void {
  const plain = {
    state: 'running',
    exit_code: null,
    cause: '',
    reason: null,
    cols: 80,
    rows: 24,
    viewers: 0,
    output_bytes: 0,
    idle_ms: 0,
  }
  const load = { sessions: 0, streams: 0, cpu_millis_used: null, memory_bytes_used: null }
  const items = list.map(each => ({ ...plain, ...each }))
  link.send({ type: 'report', epoch: 1, seq: ++reports, complete, items: [], load, terminals: items })
}
async function opened(id: string, options: { query?: string; protocols?: string[]; token?: string } = {}) {
  const { query = '', protocols = ['binary'], ...rest } = options
  const viewer = api.viewer(`/v1/terminals/${id}${query}`, { protocols, ...rest })
  await viewer.open
  return viewer
}
const refusal = async (viewer: { open: Promise<unknown> }) => {
  const error = await viewer.open.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Refusal)
  return (error as Refusal).body
}

describe('a terminal', () => {
  it('is made, shown, listed, and its life is in the audit', async () => {
    const terminal = await made({ cols: 120, rows: 40, shell: 'sh' })
    expect(terminal).toMatchObject({
      object: 'terminal',
      session,
      job: null,
      status: 'created',
      cols: 120,
      shell: 'sh',
      idle_timeout_seconds: 1800,
      url: `${api.url.replace('http', 'ws')}/v1/terminals/${terminal.id}`,
    })
    expect((await call('GET', `/v1/terminals/${terminal.id}`)).body).toEqual(terminal)
    expect((await call('GET', `/v1/terminals?session=${session}&status=active`)).body.data).toContainEqual(terminal)
    expect((await call('DELETE', `/v1/terminals/${terminal.id}`)).status).toBe(204)
    expect((await call('GET', `/v1/terminals/${terminal.id}`)).status).toBe(404)
    expect((await call('DELETE', `/v1/terminals/${terminal.id}`)).status).toBe(404)
    const said = await api.db.select().from(audit).where(eq(audit.target, terminal.id))
    expect(said.map(each => each.action)).toEqual(['terminal.create', 'terminal.delete'])
  })

  it.each([
    [{}, '/session'],
    [{ session: 'a', job: 'b' }, '/session'],
    [{ session: 'a', cols: 0 }, '/cols'],
    [{ session: 'a', shell: 'sh -c evil' }, '/shell'],
    [{ session: 'a', idle_timeout_seconds: 1e9 }, '/idle_timeout_seconds'],
    [{ session: 'a', extra: 1 }, '/extra'],
  ])('%j is refused at %s', async (body, pointer) => {
    const answer = await call('POST', '/v1/terminals', body)
    expect(answer.status).toBe(422)
    expect(answer.body.errors[0].pointer).toContain(pointer)
  })

  it('only where a session runs and its cluster is there and offers it', async () => {
    expect((await call('POST', '/v1/terminals', { session: 'ses_none' })).status).toBe(404)
    const stopped = await api.session(agent.cluster)
    await api.db.update(sessions).set({ status: 'stopped', ended_at: new Date() }).where(eq(sessions.id, stopped))
    expect((await call('POST', '/v1/terminals', { session: stopped })).body.code).toBe('session_not_running')
    const other = await api.agent()
    const there = await api.session(other.cluster)
    expect((await call('POST', '/v1/terminals', { session: there })).body.code).toBe('cluster_offline')
    await other.link()
    expect((await call('POST', '/v1/terminals', { session: there })).body).toMatchObject({ status: 409, code: 'conflict' })
  })

  it('no more than the limit, however many race', async () => {
    const crowded = await api.session(agent.cluster)
    const answers = await Promise.all(Array.from({ length: 24 }, () => call('POST', '/v1/terminals', { session: crowded })))
    expect(answers.filter(answer => answer.status === 201)).toHaveLength(16)
    expect(answers.find(answer => answer.status !== 201)!.body.code).toBe('quota_exceeded')
    expect((await call('DELETE', `/v1/terminals?session=${crowded}`)).status).toBe(204)
    expect((await call('GET', `/v1/terminals?session=${crowded}`)).body.data).toEqual([])
    expect((await call('DELETE', '/v1/terminals')).status).toBe(422)
  })
})

describe('opening it', () => {
  it('the first stream makes the shell, later ones only find it; the offset goes along', async () => {
    const { id } = await made({ cols: 100, rows: 50, shell: 'bash', idle_timeout_seconds: 60 })
    const first = await opened(id)
    expect(first.ws.protocol).toBe('binary')
    const start = { shell: 'bash', cols: 100, rows: 50, idle_timeout_ms: 60_000 }
    expect(opens[0]).toMatchObject({
      kind: 'terminal',
      role: 'control',
      session,
      target: { terminal: { id, frames: 'binary', start } },
    })
    first.ws.send(Buffer.from('ls\n'))
    expect(await once(first.ws, 'message')).toEqual([Buffer.from('ls\n'), true])
    await vi.waitFor(async () => expect((await row(id))!.status).toBe('running'), { timeout: 30_000 })
    const second = await opened(id, { query: '?offset=3' })
    expect(opens[1]!.target.terminal).toEqual({ id, frames: 'binary', offset: 3 })
    const [held] = await api.db.select().from(grants).where(eq(grants.id, opens[1]!.stream))
    expect(held).toMatchObject({ terminal_id: id, session_id: session, kind: 'terminal' })
    const plain = await opened(id, { protocols: [] })
    expect(opens[2]!.target.terminal!.frames).toBe('json')
    for (const viewer of [first, second, plain]) viewer.ws.close()
  })

  it('an agent that has lost it: 410, and the terminal has ended', async () => {
    const { id } = await made()
    ;(await opened(id)).ws.close()
    refuses = { status: 410, code: 'terminal_ended', detail: 'its agent was restarted' }
    expect(await refusal(api.viewer(`/v1/terminals/${id}`))).toMatchObject({ status: 410, code: 'terminal_ended' })
    expect((await call('GET', `/v1/terminals/${id}`)).body).toMatchObject({ status: 'ended' })
    refuses = null
    expect(await refusal(api.viewer(`/v1/terminals/${id}`))).toMatchObject({ status: 410 })
    expect(opens).toHaveLength(2)
  })

  it('a start that failed may be tried again', async () => {
    const { id } = await made({ shell: 'fish' })
    refuses = { status: 422, code: 'invalid', detail: 'this session has no shell "fish"' }
    expect(await refusal(api.viewer(`/v1/terminals/${id}`))).toMatchObject({ status: 422, detail: /fish/ })
    refuses = null
    ;(await opened(id)).ws.close()
    expect(opens[1]!.target.terminal!.start).toBeDefined()
  })

  it('by ticket: once, this terminal only; its answer never says the secret', async () => {
    const [mine, other] = [await made(), await made()]
    const ticket = (await call('POST', `/v1/terminals/${mine.id}/tickets`)).body
    expect(ticket).toMatchObject({ object: 'ticket', stream: 'terminal', url: mine.url })
    const by = { protocols: ['binary', `ticket.${ticket.ticket}`], token: '' }
    expect(await refusal(api.viewer(`/v1/terminals/${other.id}`, by))).toMatchObject({ status: 401 })
    expect(await refusal(api.viewer(`/v1/sessions/${session}/vnc`, by))).toMatchObject({ status: 401 })
    const viewer = await opened(mine.id, by)
    expect(viewer.ws.protocol).toBe('binary')
    expect(opens[0]!.stream).toBe(ticket.viewer)
    expect(await refusal(api.viewer(`/v1/terminals/${mine.id}`, by))).toMatchObject({ status: 401 })
    const screen = (await call('POST', `/v1/sessions/${session}/tickets`, { stream: 'vnc' })).body.ticket
    const wrong = api.viewer(`/v1/terminals/${mine.id}`, { protocols: ['binary', `ticket.${screen}`], token: '' })
    expect(await refusal(wrong)).toMatchObject({ status: 401 })
    viewer.ws.close()
  })

  it('nobody else: another project, no exec, no token, a token in the URL', async () => {
    const { id } = await made()
    const { token } = await stranger(['exec'])
    expect(await refusal(api.viewer(`/v1/terminals/${id}`, { token }))).toMatchObject({ status: 404 })
    expect((await call('POST', '/v1/terminals', { session }, token)).status).toBe(404)
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/tickets'],
    ] as const)
      expect((await call(method, `/v1/terminals/${id}${path}`, undefined, token)).status).toBe(404)
    const plain = await stranger(['sessions:connect', 'sessions:write'], { project_id: 'prj_default' })
    expect(await refusal(api.viewer(`/v1/terminals/${id}`, { token: plain.token }))).toMatchObject({ status: 403 })
    expect((await call('GET', `/v1/terminals/${id}`, undefined, plain.token)).status).toBe(403)
    expect(await refusal(api.viewer(`/v1/terminals/${id}`, { token: '' }))).toMatchObject({ status: 401 })
    expect(await refusal(api.viewer(`/v1/terminals/${id}?token=${api.admin}`, { token: '' }))).toMatchObject({ status: 401 })
    expect(opens).toEqual([])
  })
})

describe('its end', () => {
  it('what the agent says of it is taken over, once', async () => {
    const { id } = await made()
    report([{ id, cols: 132, idle_ms: 5_000 }])
    await vi.waitFor(async () => expect(await row(id)).toMatchObject({ status: 'running', cols: 132 }), { timeout: 30_000 })
    report([{ id, state: 'ended', cause: 'exited', exit_code: 3, reason: 'It ended with exit code 3.' }])
    await vi.waitFor(async () => expect((await row(id))!.status).toBe('ended'), { timeout: 30_000 })
    expect((await call('GET', `/v1/terminals/${id}`)).body).toMatchObject({
      exit_code: 3,
      status_reason: 'It ended with exit code 3.',
    })
    report([{ id, state: 'ended', cause: 'idle', exit_code: 9 }])
    report([])
    // Its last words can be read for a while, but it is not made again.
    const viewer = await opened(id)
    expect(opens[0]!.target.terminal!.start).toBeUndefined()
    expect((await row(id))!.exit_code).toBe(3)
    viewer.ws.close()
  })

  it('a complete list that lacks it: lost with the agent that kept it, unless it is brand new', async () => {
    const [old, fresh, strange] = [await made(), await made(), await made()]
    report([{ id: old.id }, { id: fresh.id }])
    await vi.waitFor(async () => expect((await row(fresh.id))!.status).toBe('running'), { timeout: 30_000 })
    await api.db
      .update(terminals)
      .set({ started_at: new Date(Date.now() - 90_000) })
      .where(eq(terminals.id, old.id))
    await api.db
      .update(terminals)
      .set({ cluster_id: (await api.agent()).cluster })
      .where(eq(terminals.id, strange.id))
    report([{ id: strange.id, state: 'ended' }], true)
    await vi.waitFor(async () => expect(await row(old.id)).toMatchObject({ status: 'ended', cause: 'lost' }), { timeout: 30_000 })
    expect((await row(fresh.id))!.status).toBe('running')
    // Another cluster's terminal is not this agent's to end.
    expect((await row(strange.id))!.status).toBe('created')
  })

  it.each<[string, (held: { id: string; project: string }, session: string) => unknown, string]>([
    [
      'token is revoked',
      ({ id }) => api.db.update(tokens).set({ revoked_at: new Date() }).where(eq(tokens.id, id)),
      'token_ended',
    ],
    ['token expires', ({ id }) => api.db.update(tokens).set({ expires_at: new Date() }).where(eq(tokens.id, id)), 'token_ended'],
    [
      'project is suspended',
      ({ project }) => api.db.update(projects).set({ suspended_at: new Date() }).where(eq(projects.id, project)),
      'token_ended',
    ],
    [
      'session is stopped',
      (_, session) => api.db.update(sessions).set({ desired: 'stopped' }).where(eq(sessions.id, session)),
      'session_ended',
    ],
  ])('its %s: it ends, the agent is told, its streams close', async (_, end, cause) => {
    const held = await stranger(['exec'])
    const theirs = await api.session(agent.cluster)
    await api.db.update(sessions).set({ project_id: held.project }).where(eq(sessions.id, theirs))
    const { id } = (await call('POST', '/v1/terminals', { session: theirs }, held.token)).body
    const viewer = await opened(id, { token: held.token })
    await end(held, theirs)
    await sweepTerminals({ db: api.db, tunnel: api.tunnel, origin: api.url, log: jsonLog(() => {}) })
    expect(await row(id)).toMatchObject({ status: 'ended', cause })
    for (let told = await link.next('delta'); !told.ended_terminals?.includes(id); ) told = await link.next('delta')
    if (cause === 'token_ended') {
      await api.tunnel.streams.sweep()
      expect([4401, 4403, 4410]).toContain((await viewer.closed).code)
    } else viewer.ws.close()
  })

  it('a delete reaches the agent, also one that was away; its streams end', async () => {
    const { id } = await made()
    const viewer = await opened(id)
    await call('DELETE', `/v1/terminals/${id}`)
    await vi.waitFor(async () => expect((await link.next('delta')).ended_terminals).toContain(id), { timeout: 30_000 })
    await api.tunnel.streams.sweep()
    expect(await viewer.closed).toMatchObject({ code: 4410 })
    const again = await agent.dial()
    again.hello({ capabilities: { ...capabilities, features: ['exec'] } })
    expect((await again.next('snapshot')).ended_terminals).toContain(id)
    again.ws.close()
    await again.closed
  })
})
