/** GitHub's reports, signed as GitHub signs them, against keys published by a server of our own. */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, enrollments, links } from '#db/schema.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { mintSecret, mintUserToken } from '../tokens/format.ts'
import { sideBySide } from './signature.ts'

const ours = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const theirs = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let github: Server
let asked = 0
let published: () => { status: number; body: string }
let api: ApiFixture
beforeAll(async () => {
  const key = ours.publicKey.export({ type: 'spki', format: 'pem' })
  published = () => ({ status: 200, body: JSON.stringify({ public_keys: [{ key_identifier: 'k1', key, is_current: true }] }) })
  github = createServer((_, response) => {
    asked++
    const { status, body } = published()
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>(done => github.listen(0, '127.0.0.1', done))
  const { port } = github.address() as AddressInfo
  api = await apiFixture({ leakReportKeys: `http://127.0.0.1:${port}/keys` })
  await loadBuiltinTemplates(api.db)
})
afterAll(async () => {
  await api?.close()
  github.close()
})

function report(found: unknown, { key = ours.privateKey, identifier = 'k1', body = JSON.stringify(found) } = {}) {
  return send(body, { 'github-public-key-identifier': identifier, 'github-public-key-signature': signed(body, key) })
}
const signed = (body: string, key: KeyObject) => sign('sha256', Buffer.from(body), key).toString('base64')
const send = (body: string, headers: Record<string, string>) => api.call('POST', '/secret-scanning/github', { body, headers })
const leak = (token: string) => ({
  token,
  type: 'porthole_token',
  url: 'https://github.com/a/b/blob/c/d.txt',
  source: 'content',
})
const works = async (token: Minted | string) => (await api.call('GET', '/v1/me', { token })).status

describe('a report that GitHub signed', () => {
  it('ends a leaked token with all it was rotated into, and says which were ours, without naming them', async () => {
    const token = await api.mint({ scopes: ['tokens'] })
    const newer = await api.call('POST', `/v1/tokens/${token.id}/rotate`, { token, body: { grace_seconds: 60 } })
    const lookalike = mintUserToken('prj_nowhere', 'ann')
    expect([await works(token), await works(newer.body.token)]).toEqual([200, 200])
    const { status, body } = await report([leak(token.token), leak(lookalike), leak('ghp_something'), leak(`${token.token}x`)])
    expect(status).toBe(200)
    expect(body.map((verdict: { label: string }) => verdict.label)).toEqual([
      'true_positive',
      'false_positive',
      'false_positive',
      'false_positive',
    ])
    expect(JSON.stringify(body)).not.toContain(token.token)
    expect([await works(token), await works(newer.body.token)]).toEqual([401, 401])
    const rows = await api.db.select().from(audit).where(eq(audit.target, token.id))
    const told = rows.find(row => row.action === 'token.revoke')!
    expect(told).toMatchObject({ actor_kind: 'system', detail: { reason: 'leaked', url: leak('').url } })
    // Reported again: still ours, nothing more to do.
    expect((await report([leak(token.token)])).body[0].label).toBe('true_positive')
    const again = await api.db.select().from(audit).where(eq(audit.target, token.id))
    expect(again).toHaveLength(rows.length)
  })

  it('ends a share link and a join token, too', async () => {
    const owner = await api.mint({ scopes: ['sessions:write', 'sessions:connect', 'sessions:read', 'clusters:admin'] })
    const { id } = (await api.call('POST', '/v1/sessions', { token: owner, body: { template: 'chromium' } })).body
    const link = (await api.call('POST', `/v1/sessions/${id}/links`, { token: owner, body: {} })).body
    const cluster = (await api.call('POST', '/v1/clusters', { token: owner, body: { name: 'leaky' } })).body
    const { body } = await report([leak(new URL(link.url).hash.slice(1)), leak(cluster.enrollment.token), leak(mintSecret('lk'))])
    expect(body.map((verdict: { label: string }) => verdict.label)).toEqual(['true_positive', 'true_positive', 'false_positive'])
    const [row] = await api.db.select().from(links).where(eq(links.id, link.id))
    expect(row!.revoked_at).not.toBeNull()
    const [join] = await api.db.select().from(enrollments).where(eq(enrollments.cluster_id, cluster.id))
    expect(join!.expires_at.getTime()).toBeLessThanOrEqual(Date.now() + 1_000)
  })

  it('reads the keys once, not for each report', async () => {
    await report([])
    const before = asked
    for (let n = 0; n < 3; n++) expect((await report([])).status).toBe(200)
    expect((await report([], { identifier: 'made up' })).status).toBe(401)
    expect(asked).toBe(before)
  })
})

describe('anything else changes nothing', () => {
  it.each<[string, () => Promise<{ status: number }>, number]>([
    ['unsigned', () => send('[]', {}), 401],
    ['signed by somebody else', () => report([], { key: theirs.privateKey }), 401],
    [
      'a signature that is none',
      () => send('[]', { 'github-public-key-identifier': 'k1', 'github-public-key-signature': '!' }),
      401,
    ],
    [
      'another body than the one that was signed',
      () => send('[ ]', { 'github-public-key-identifier': 'k1', 'github-public-key-signature': signed('[]', ours.privateKey) }),
      401,
    ],
    ['signed, but no list', () => report({}), 400],
    ['signed, but no JSON', () => report(null, { body: '[' }), 400],
    ['too large', () => report([leak('x'.repeat(2_000_000))]), 413],
  ])('%s', async (_, call, status) => {
    const token = await api.mint()
    expect((await call()).status).toBe(status)
    expect(await works(token)).toBe(200)
  })

  it('waits for better times when the keys cannot be had', async () => {
    const before = published
    published = () => ({ status: 500, body: 'no' })
    const other = await apiFixture({ leakReportKeys: api.config.leakReportKeys })
    try {
      const headers = { 'github-public-key-identifier': 'k1', 'github-public-key-signature': signed('[]', ours.privateKey) }
      const answer = await other.call('POST', '/secret-scanning/github', { body: '[]', headers })
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '30'])
    } finally {
      published = before
      await other.close()
    }
  })
})

it('signatures of every shape that DER gives two numbers', () => {
  const number = (bytes: number[]) => [0x02, bytes.length, ...bytes]
  const sequence = (parts: number[]) => new Uint8Array([0x30, parts.length, ...parts])
  const full = Array.from({ length: 32 }, (_, at) => at + 0x80)
  const raw = sideBySide(sequence([...number([0, ...full]), ...number([7])]))!
  expect([...raw]).toEqual([...full, ...Array(31).fill(0), 7])
  for (const bad of [[], number([1]), [...number([1]), ...number([2]), 0], number(Array(40).fill(1)), [0x02, 200, 1]])
    expect(sideBySide(sequence(bad))).toBeNull()
})
