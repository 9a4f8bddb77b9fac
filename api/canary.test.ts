/**
 * No secret of ours outside of the answer that made it: every kind is made and used in every way, also wrongly, and then everything that was kept
 * or said is searched for it: all tables, all log lines, events, audit, every other answer, every URL.
 */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { scopes } from './context.ts'
import { echo, type FakeAgent } from './testing/fake-agent.ts'
import { type NodeApi, nodeApi } from './testing/node-api.ts'

let api: NodeApi
let agent: FakeAgent
/** Secret -> what it is. */
const secrets = new Map<string, string>()
/** Answers that did not make a secret, and URLs that they gave. */
const said: string[] = []
beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  const link = await agent.link()
  link.serve(open => void echo(open))
})
afterAll(() => api?.close())

async function call(method: string, path: string, body?: object, token = api.admin, more: Record<string, string> = {}) {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}), ...more },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await answer.text()
  const headers = JSON.stringify([...answer.headers].filter(([name]) => name !== 'set-cookie'))
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  const json: any = text.startsWith('{') ? JSON.parse(text) : text
  return { status: answer.status, json, text, headers, cookie: answer.headers.get('set-cookie') }
}
/** What may hold a secret is looked at apart; everything else must not. */
const ask = async (...args: Parameters<typeof call>) => {
  const answer = await call(...args)
  said.push(answer.text, answer.headers)
  return answer
}
const plant = (what: string, secret: string) => {
  expect(secret.length).toBeGreaterThan(20)
  secrets.set(secret, what)
  return secret
}

it('is found nowhere', async () => {
  plant('admin token', api.admin)
  const key = { 'idempotency-key': 'once' }
  const made = await call('POST', '/v1/tokens', { name: 'ci', scopes: scopes.filter(scope => scope !== 'admin') }, api.admin, key)
  const token = plant('token', made.json.token)
  await call('POST', '/v1/tokens', { name: 'ci', scopes: scopes.filter(scope => scope !== 'admin') }, api.admin, key)
  plant('rotated token', (await call('POST', `/v1/tokens/${made.json.id}/rotate`, { grace_seconds: 60 })).json.token)
  plant('join token', (await call('POST', '/v1/clusters', { name: 'canary' })).json.enrollment.token)
  const login = await call('POST', '/v1/auth/login', { token }, api.admin, { origin: api.url })
  plant('cookie', /porthole=(vnc-se-[^;]+)/.exec(login.cookie!)![1]!)
  await ask('PUT', '/v1/none', {}, token)
  plant('stored secret', 'canary-value-of-a-stored-secret')
  await ask('POST', '/v1/secrets', { name: 'kept', value: 'canary-value-of-a-stored-secret' })

  const session = await api.session(agent.cluster)
  const shared = await call('POST', `/v1/sessions/${session}/links`, {})
  const link = plant('link', new URL(shared.json.url).hash.slice(1))
  await ask('POST', '/v1/links/open', { link }, token)
  const ticket = plant('ticket', (await call('POST', `/v1/sessions/${session}/tickets`, { stream: 'vnc' })).json.ticket)
  const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`, { protocols: ['binary', `ticket.${ticket}`], token: '' })
  await open
  expect(ws.protocol).toBe('binary')
  ws.close()
  await closed

  // Wrongly: each where it does not belong.
  for (const secret of secrets.keys()) {
    await ask('GET', '/v1/me', undefined, secret)
    await ask('GET', `/v1/sessions?name=${encodeURIComponent(secret)}`)
    await ask('GET', `/v1/sessions/${encodeURIComponent(secret)}`)
    await ask('POST', '/v1/sessions', { template: secret, oops: secret })
    await ask('POST', '/v1/links/open', { link: `${secret}x` })
    await api.viewer(`/v1/sessions/${session}/vnc?token=${encodeURIComponent(secret)}`, { token: '' }).open.catch(() => {})
    await api.viewer(`/v1/sessions/${session}/vnc?ticket=${encodeURIComponent(secret)}`, { token: '' }).open.catch(() => {})
    await api.viewer(`/v1/sessions/${session}/vnc`, { protocols: ['binary', `ticket.${secret}`], token: '' }).open.catch(() => {})
  }
  for (const path of [
    '/v1/tokens',
    '/v1/sessions',
    '/v1/clusters',
    '/v1/audit',
    '/v1/projects',
    '/v1/secrets',
    `/v1/sessions/${session}/links`,
    `/v1/sessions/${session}/viewers`,
    `/v1/sessions/${session}/events`,
    '/v1/me',
    '/metrics',
    '/v1/status',
  ])
    await ask('GET', `${path}`)
  await api.tunnel.streams.settled()

  const places = new Map<string, string>([
    ['a log line', api.lines.join('\n')],
    ['an answer', said.filter(text => !text.includes('"code":')).join('\n')],
  ])
  const tables = await api.db.execute<{ name: string }>(sql`select tablename as name from pg_tables where schemaname = 'public'`)
  for (const { name } of tables) {
    const [dump] = await api.db.execute<{ all: string | null }>(
      sql`select string_agg(t::text, E'\n') as all from ${sql.identifier(name)} t`,
    )
    places.set(`the table ${name}`, dump!.all ?? '')
  }
  const found: string[] = []
  for (const [secret, what] of secrets)
    for (const [place, text] of places)
      if (text.includes(secret) || text.includes(encodeURIComponent(secret))) found.push(`${what} in ${place}`)
  expect(found).toEqual([])
  expect([...secrets.values()]).toEqual([
    'admin token',
    'token',
    'rotated token',
    'join token',
    'cookie',
    'stored secret',
    'link',
    'ticket',
  ])
})
