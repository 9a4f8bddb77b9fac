import { eq } from 'drizzle-orm'
import { generateKeyPair } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { audit, clusters, enrollments } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { sha256 } from '../node/platform.ts'
import { FakeAgent } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { mintSecret } from '../tokens/format.ts'
import { verifyAgent } from './identity.ts'

let api: NodeApi
beforeAll(async () => {
  api = await nodeApi()
})
afterAll(() => api?.close())

async function joinToken(cluster: string, ttlMs = 60_000): Promise<string> {
  const token = mintSecret('join')
  await api.db.insert(enrollments).values({
    hash: sha256(token),
    cluster_id: cluster,
    created_by: 'test',
    expires_at: new Date(Date.now() + ttlMs),
  })
  return token
}
async function newCluster(): Promise<string> {
  const id = newId('clu')
  await api.db.insert(clusters).values({ id, name: id })
  return id
}
const verify = async (jwt: string) => (await verifyAgent(api.db, new Headers({ authorization: `Bearer ${jwt}` }))).id

it('lets exactly one of 32 racers use a join token', async () => {
  const cluster = await newCluster()
  const token = await joinToken(cluster)
  const racers = await Promise.allSettled(Array.from({ length: 32 }, () => FakeAgent.enroll(api.url, token)))
  const won = racers.filter(racer => racer.status === 'fulfilled')
  expect(won).toHaveLength(1)
  const [row] = await api.db.select().from(clusters).where(eq(clusters.id, cluster))
  expect(row!.agent_id).toBe(won[0]!.value.id)
  const written = await api.db.select().from(audit).where(eq(audit.target, cluster))
  expect(written).toMatchObject([{ action: 'agent.enroll', actor_kind: 'agent', actor: won[0]!.value.id }])
})

it('answers every bad join token alike', async () => {
  const cluster = await newCluster()
  const bodies = new Set<string>()
  for (const token of [mintSecret('join'), await joinToken(cluster, -1_000), mintSecret('st'), 'nonsense', '']) {
    const error = await FakeAgent.enroll(api.url, token).catch((thrown: Error) => thrown.message)
    bodies.add(String(error).replace(/"request_id":"[^"]*"/, ''))
  }
  expect(bodies.size).toBe(1)
  expect([...bodies][0]).toContain('"status":401')
})

it('replaces a former agent, whose link ends and whose signature counts no more', async () => {
  const cluster = await newCluster()
  const first = await FakeAgent.enroll(api.url, await joinToken(cluster))
  const link = await first.link()
  const second = await FakeAgent.enroll(api.url, await joinToken(cluster))
  expect((await link.closed).code).toBe(4403)
  await expect(verify(await first.jwt())).rejects.toMatchObject({ code: 'unauthorized' })
  expect(await verify(await second.jwt())).toBe(second.id)
})

it('refuses a key that is none', async () => {
  const answer = await fetch(`${api.url}/v1/agent/enroll`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      join_token: await joinToken(await newCluster()),
      public_key: { kty: 'OKP', crv: 'X25519', x: 'a'.repeat(43) },
      agent_version: '1',
    }),
  })
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([422, 'invalid'])
})

it('knows an agent by its signature alone; every fault gives the same answer', async () => {
  const agent = await FakeAgent.enroll(api.url, await joinToken(await newCluster()))
  const other = await FakeAgent.enroll(api.url, await joinToken(await newCluster()))
  const stranger = (await generateKeyPair('EdDSA', { crv: 'Ed25519' })).privateKey
  const now = Math.floor(Date.now() / 1000)
  expect(await verify(await agent.jwt())).toBe(agent.id)
  expect(await verify(await agent.jwt({ claims: { iat: now + 20, exp: now + 80 } }))).toBe(agent.id)
  const unsigned = `${btoa(JSON.stringify({ alg: 'none', kid: agent.id }))}.${btoa(JSON.stringify({ iss: agent.id }))}.`
  const faults = {
    stranger: await agent.jwt({ key: stranger }),
    otherKid: await agent.jwt({ header: { kid: other.id } }),
    otherIssuer: await agent.jwt({ claims: { iss: other.id } }),
    audience: await agent.jwt({ claims: { aud: 'elsewhere' } }),
    expired: await agent.jwt({ claims: { iat: now - 200, exp: now - 140 } }),
    early: await agent.jwt({ claims: { iat: now + 3600, exp: now + 3660 } }),
    long: await agent.jwt({ claims: { exp: now + 86_400 } }),
    endless: await agent.jwt({ claims: { exp: undefined } }),
    undated: await agent.jwt({ claims: { iat: undefined } }),
    unknown: await agent.jwt({ header: { kid: 'agt_nobody' } }),
    kidless: await agent.jwt({ header: { kid: undefined } }),
    unsigned: unsigned.replaceAll('=', ''),
    garbage: 'a.b.c',
    user: api.admin,
  }
  const said = new Set<string>()
  for (const [fault, jwt] of Object.entries(faults)) {
    const error = await verify(jwt).then(
      () => fault,
      (thrown: { code: string; message: string }) => `${thrown.code} ${thrown.message}`,
    )
    said.add(error)
  }
  expect([...said]).toEqual([expect.stringMatching(/^unauthorized /)])
})
