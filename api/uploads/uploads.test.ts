/** What is sent to be built: in pieces of any size, whole or not at all, kept while a job needs it, given to the agent that has the job and to nobody else. */
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { eq, sql } from 'drizzle-orm'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projects, upload_chunks, uploads } from '#db/schema.ts'
import { agentAudience } from '#protocol/agent-identity.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { endedJob } from '../testing/job-reports.ts'
import { inPieces } from './pieces.ts'
import { sweepUploads } from './service.ts'

const most = 2 * 2 ** 20
let api: ApiFixture
let token: Minted
let cluster: FakeCluster
let key: string
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000, maxContext: most })
  cluster = await new FakeCluster(api).connect({ ...capable(1), jobs: { types: ['build'], capacity: 100 } })
  token = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
  key = await agentKey()
})
afterAll(() => api?.close())

const archive = gzipSync(randomBytes(1_300_000))
async function put(name: string, body: RequestInit['body'], as = token, headers: Record<string, string> = {}) {
  const request = { method: 'PUT', headers: { authorization: `Bearer ${as.token}`, ...headers }, body, duplex: 'half' }
  const answer = await api.app.request(`${origin}/v1/uploads/${name}`, request as RequestInit)
  return {
    status: answer.status, // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
    body: (await answer.json()) as any,
  }
}
const stream = (...parts: (Uint8Array | Error)[]) =>
  new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts.shift()
      if (part === undefined) controller.close()
      else if (part instanceof Error) controller.error(part)
      else controller.enqueue(part)
    },
  })
const rows = () => api.db.$count(uploads)
const build = (upload: string, as = token) => api.call('POST', '/v1/jobs', { token: as, body: { type: 'build', upload } })
/** What the cluster's agent signs with. */
async function agentKey(): Promise<string> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const { body } = await api.call('POST', `/v1/clusters/${cluster.id}/enroll`, { token: api.admin, body: {} })
  const answer = await api.call('POST', '/v1/agent/enroll', {
    body: { join_token: body.enrollment.token, public_key: await exportJWK(publicKey), agent_version: '0' },
  })
  expect([answer.status, answer.body.detail]).toEqual([200, undefined])
  const now = Math.floor(Date.now() / 1000)
  const claims = { aud: agentAudience, iss: answer.body.agent, iat: now, exp: now + 60 }
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: answer.body.agent }).sign(privateKey)
}
const given = (job: string, query: string, key: string) =>
  api.app.request(`${origin}/v1/agent/jobs/${job}/context?${query}`, { headers: { authorization: `Bearer ${key}` } })

it('pieces are of one size, whatever comes', async () => {
  const parts = [3, 0, 10, 1, 7].map(length => randomBytes(length))
  const pieces: Uint8Array[] = []
  for await (const piece of inPieces(stream(...parts), 4)) pieces.push(piece)
  expect(pieces.map(piece => piece.length)).toEqual([4, 4, 4, 4, 4, 1])
  expect(Buffer.concat(pieces)).toEqual(Buffer.concat(parts))
})

describe('an upload', () => {
  it('is kept by its name, shown, replaced, forgotten', async () => {
    const first = await put('my-app', archive)
    expect([first.status, first.body]).toEqual([
      201,
      expect.objectContaining({ object: 'upload', name: 'my-app', bytes: archive.length }),
    ])
    const again = await put('my-app', stream(archive.subarray(0, 700_000), archive.subarray(700_000)))
    expect([again.status, again.body.bytes]).toEqual([200, archive.length])
    expect((await api.call('GET', '/v1/uploads', { token })).body.data.map((each: { id: string }) => each.id)).toEqual([
      again.body.id,
    ])
    expect((await api.call('GET', '/v1/uploads/my-app', { token })).body.id).toBe(again.body.id)
    expect((await api.call('DELETE', '/v1/uploads/my-app', { token })).status).toBe(204)
    expect([await rows(), await api.db.$count(upload_chunks)]).toEqual([0, 0])
  })

  const bad: { what: string; body: () => RequestInit['body']; headers?: Record<string, string>; told: [number, string] }[] = [
    { what: 'too long, as it says', body: () => archive, headers: { 'content-length': `${most + 1}` }, told: [413, 'too_large'] },
    { what: 'too long, as it turns out', body: () => stream(gzipSync('a'), randomBytes(most)), told: [413, 'too_large'] },
    { what: 'no gzip', body: () => 'PK\x03\x04', told: [415, 'unsupported_media_type'] },
    { what: 'nothing', body: () => null, told: [415, 'unsupported_media_type'] },
  ]
  it.each(bad)('that is $what leaves nothing', async ({ body, headers, told }) => {
    const answer = await put('bad', body(), token, headers)
    expect([answer.status, answer.body.code, await rows()]).toEqual([...told, 0])
  })

  it('that breaks off leaves nothing', async () => {
    await put('cut', stream(archive.subarray(0, 600_000), new Error('the network'))).catch(() => {})
    expect(await rows()).toBe(0)
  })

  it('finds no room where others hold it, also while they come', async () => {
    const held = await Promise.all(Array.from({ length: 8 }, (_, n) => put(`many-${n}`, stream(archive))))
    const refused = held.filter(({ status }) => status !== 201)
    // One that is done holds less than one that comes and does not say how long it is.
    expect(refused.length).toBeGreaterThanOrEqual(2)
    expect(new Set(refused.map(({ body }) => body.code))).toEqual(new Set(['quota_exceeded']))
    const [sum] = await api.db.select({ bytes: sql`sum(${uploads.bytes})`.mapWith(Number) }).from(uploads)
    expect(sum!.bytes).toBeLessThanOrEqual(4 * most)
    await api.db.delete(uploads)
  })
})

describe('a build of it', () => {
  it('gets it to its agent, this attempt and this link only', async () => {
    const sent = (await put('ctx', archive)).body
    const made = await build('ctx')
    expect([made.status, made.body.detail]).toEqual([201, undefined])
    expect(made.body.spec.source).toMatchObject({ upload: { id: sent.id, bytes: archive.length } })
    const [wanted] = await cluster.desiredJobs()
    expect(wanted!.spec).toMatchObject({ source: { url: '', upload: { id: sent.id, bytes: archive.length } } })
    const right = 'attempt=1&epoch=1'
    const answer = await given(made.body.id, right, key)
    expect(answer.status).toBe(200)
    expect(Buffer.from(await answer.arrayBuffer()).equals(archive)).toBe(true)
    expect((await given(made.body.id, 'attempt=2&epoch=1', key)).status).toBe(404)
    expect((await given(made.body.id, 'attempt=1&epoch=2', key)).status).toBe(409)
    expect((await given(made.body.id, right, token.token)).status).toBe(401)
    await cluster.report([], { jobs: [endedJob(made.body.id, 1)] })
  })

  it('keeps it until it is over, and can be tried again as long as it is there', async () => {
    const { id } = (await put('kept', archive)).body
    const made = (await build(id)).body
    await api.call('DELETE', '/v1/uploads/kept', { token })
    await sweepUploads(api.db)
    expect(await rows()).toBeGreaterThan(0)
    await cluster.report([], { jobs: [endedJob(made.id, 1)] })
    await sweepUploads(api.db)
    expect(await api.db.$count(uploads, eq(uploads.id, id))).toBe(0)
    const again = await api.call('POST', `/v1/jobs/${made.id}/retry`, { token, body: {} })
    expect([again.status, again.body.detail]).toEqual([409, expect.stringContaining('send it again')])
  })

  it('that was not made leaves it to its time', async () => {
    const { id } = (await put('old', archive)).body
    await sweepUploads(api.db)
    expect(await api.db.$count(uploads, eq(uploads.id, id))).toBe(1)
    await api.db.update(uploads).set({ expires_at: sql`clock_timestamp() - interval '1 s'` }).where(eq(uploads.id, id))
    await sweepUploads(api.db)
    expect(await api.db.$count(uploads, eq(uploads.id, id))).toBe(0)
  })

  it.each([
    [{ type: 'build' }, '/git'],
    [{ type: 'build', upload: 'nowhere' }, '/upload'],
    [{ type: 'build', upload: 'x', git: { url: 'https://g.example/a' } }, '/upload'],
  ])('%j is refused with a pointer', async (body, pointer) => {
    const answer = await api.call('POST', '/v1/jobs', { token, body })
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([422, pointer])
  })

  it('of another project’s is refused as one that is not there', async () => {
    await put('theirs', archive)
    const other = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
    expect((await build('theirs', other)).body.errors?.[0]?.pointer).toBe('/upload')
    await api.db
      .delete(projects)
      .where(eq(projects.id, other.project))
      .catch(() => {})
  })
})
