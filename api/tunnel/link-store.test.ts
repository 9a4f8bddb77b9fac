import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { clusters, events, replicas } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { capabilities } from '../testing/fake-agent.ts'
import { type ScratchDatabase, scratchDatabase } from '../testing/scratch-database.ts'
import { clusterForEvent } from './cluster-event.ts'
import { clusterStates, linkHolder, linkStore, markSeen, releaseLinksOfDeadReplicas } from './link-store.ts'

let database: ScratchDatabase
beforeAll(async () => {
  database = await scratchDatabase()
})
afterAll(() => database?.close())

const facts = { agentVersion: '1', capabilities }
async function cluster() {
  const id = newId('clu')
  const agent = newId('agt')
  await database.db.insert(clusters).values({ id, name: id, agent_id: agent, report_seq: 41 })
  return { id: agent, cluster: id, clusterName: id }
}
const rowOf = async (id: string) => (await database.db.select().from(clusters).where(eq(clusters.id, id)))[0]!
const told = async (id: string) =>
  (await database.db.select().from(events).orderBy(events.seq))
    .filter(event => (event.data as { cluster: { id: string } }).cluster.id === id)
    .map(event => (event.data as { cluster: { status: string } }).cluster.status)

it('gives each of 32 racers an epoch of its own; only the newest can write afterwards', async () => {
  const agent = await cluster()
  const stores = Array.from({ length: 32 }, (_, i) => linkStore(database.db, `rep_${i}`, clusterForEvent))
  const epochs = await Promise.all(stores.map(store => store.begin(agent, facts)))
  expect(new Set(epochs).size).toBe(32)
  expect(Math.max(...epochs.map(Number))).toBe(32)
  const winner = epochs.indexOf(32)
  expect(await rowOf(agent.cluster)).toMatchObject({ epoch: 32, link_replica_id: `rep_${winner}`, report_seq: 0 })
  for (const [i, store] of stores.entries()) if (i !== winner) await store.end(agent.cluster, epochs[i]!)
  expect((await rowOf(agent.cluster)).link_replica_id).toBe(`rep_${winner}`)
  await stores[winner]!.end(agent.cluster, 32)
  expect((await rowOf(agent.cluster)).link_replica_id).toBeNull()
  expect((await told(agent.cluster)).at(-1)).toBe('offline')
  expect((await told(agent.cluster)).slice(0, -1)).toEqual(Array(32).fill('online'))
})

it('grants nothing to an agent that was replaced', async () => {
  const agent = await cluster()
  await database.db.update(clusters).set({ agent_id: 'agt_other' }).where(eq(clusters.id, agent.cluster))
  expect(await linkStore(database.db, 'rep_a', clusterForEvent).begin(agent, facts)).toBeNull()
})

it('marks many links seen in one statement, superseded ones not', async () => {
  const [one, two] = [await cluster(), await cluster()]
  const store = linkStore(database.db, 'rep_a', clusterForEvent)
  await store.begin(one, facts)
  await store.begin(two, facts)
  const long = new Date(Date.now() - 100_000)
  await database.db.update(clusters).set({ link_seen_at: long })
  await markSeen(database.db, 'rep_a', [
    { cluster: one.cluster, epoch: 1 },
    { cluster: two.cluster, epoch: 0 },
  ])
  expect((await rowOf(one.cluster)).link_seen_at!.getTime()).toBeGreaterThan(long.getTime() + 90_000)
  expect((await rowOf(two.cluster)).link_seen_at).toEqual(long)
  const states = await clusterStates(database.db, [one.cluster, two.cluster, 'clu_none'])
  expect([...states.keys()].sort()).toEqual([one.cluster, two.cluster].sort())
})

it('frees the links of a replica that stopped beating, and tells', async () => {
  const agent = await cluster()
  await database.db.insert(replicas).values({ id: 'rep_dead', url: 'http://10.0.0.1', seen_at: new Date() })
  await linkStore(database.db, 'rep_dead', clusterForEvent).begin(agent, facts)
  expect(await linkHolder(database.db, agent.cluster)).toEqual({ replica: 'rep_dead', url: 'http://10.0.0.1' })
  expect(await releaseLinksOfDeadReplicas(database.db, clusterForEvent, 30_000)).not.toContain(agent.cluster)
  await database.db
    .update(replicas)
    .set({ seen_at: new Date(Date.now() - 60_000) })
    .where(eq(replicas.id, 'rep_dead'))
  expect(await linkHolder(database.db, agent.cluster)).toBeNull()
  expect(await releaseLinksOfDeadReplicas(database.db, clusterForEvent, 30_000)).toContain(agent.cluster)
  expect(await told(agent.cluster)).toEqual(['online', 'offline'])
})
