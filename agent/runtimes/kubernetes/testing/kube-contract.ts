/** What we rely on from an API server, asked of the double and of the real one alike, so that the double cannot drift. */
import { randomBytes } from 'node:crypto'
import type { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { holdLease } from '../agent-lease.ts'
import { secretStore } from '../agent-secret.ts'
import { ClusterObjects } from '../cluster-objects.ts'
import { createKubeClient, type KubeClient } from '../kube-client.ts'
import { isKubeError, isOvertaken } from '../kube-error.ts'
import { CannotRun } from '../pod-spec.ts'
import { WatchedList } from '../watched-list.ts'
import type { Pod } from '../wire.ts'

export interface ContractPlace {
  config: KubeConfig
  /** Pods may be made here, … */
  sessions: string
  /** … and here are the agent's Secret and Lease, both of this name. */
  system: string
  state: string
  dispose(): Promise<void>
}

const signal = () => AbortSignal.timeout(60_000)
const mine = { 'porthole.dev/agent': 'contract' }

export function exerciseKubeApi(name: string, make: () => Promise<ContractPlace>): void {
  describe(`${name} API server`, { timeout: 240_000 }, () => {
    let place: ContractPlace
    let client: KubeClient
    let objects: ClusterObjects
    const log = createLog(() => {})
    const collection = 'pods' as const
    const fresh = (labels: Record<string, string> = mine): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `c-${randomBytes(5).toString('hex')}`, namespace: place.sessions, labels },
      // No node has it: the pod is an object and nothing else.
      spec: { nodeSelector: { nowhere: 'true' }, containers: [{ name: 'none', image: 'none.invalid/none:1' }] },
    })
    const refused = (work: Promise<unknown>) =>
      work.then(
        () => null,
        (error: unknown) => error,
      )
    beforeAll(async () => {
      place = await make()
      client = createKubeClient({ config: place.config, clock: systemClock, random: Math.random })
      objects = new ClusterObjects(client, place.sessions)
    })
    afterAll(async () => {
      client?.close()
      await place?.dispose()
    })

    test('makes, shows and lists by label; what is there already is ours, or left alone', async () => {
      const policy = fresh({ ...mine, colour: 'red' })
      const first = await objects.ensure(collection, policy, mine, signal())
      const again = await objects.ensure(collection, policy, mine, signal())
      expect([first.made, again.made]).toEqual([true, false])
      expect(again.object.metadata?.uid).toBe(first.object.metadata?.uid)
      expect(await refused(objects.ensure(collection, policy, { 'porthole.dev/agent': 'another' }, signal()))).toBeInstanceOf(
        CannotRun,
      )
      const named = async (selector: string) =>
        (await objects.list(collection, selector, signal())).map(each => each.metadata?.name)
      expect(await named('porthole.dev/agent=contract,colour=red')).toEqual([policy.metadata!.name])
      expect(await named('porthole.dev/agent=contract,colour=blue')).toEqual([])
      expect(await objects.find(collection, 'nobody', signal())).toBeNull()
      expect(await objects.remove(collection, policy.metadata!.name!, first.object.metadata!.uid!, signal())).toBe(true)
    })

    test('a patch with an old version or another uid is a conflict; null takes a field away', async () => {
      const { object } = await objects.ensure(collection, fresh(), mine, signal())
      const { name: called, uid, resourceVersion } = object.metadata!
      const annotate = (metadata: object) => objects.patch<Pod>(collection, called!, { metadata }, signal())
      await annotate({ uid, annotations: { a: '1', b: '2' } })
      expect(isKubeError(await refused(annotate({ resourceVersion, annotations: { a: '3' } })), 409)).toBe(true)
      expect(isOvertaken(await refused(annotate({ uid: 'other', annotations: { a: '3' } })))).toBe(true)
      const last = await annotate({ annotations: { a: null } })
      const { a, b } = last.metadata?.annotations ?? {}
      expect([a, b]).toEqual([undefined, '2'])
      await objects.remove(collection, called!, uid!, signal())
    })

    test('deletes exactly the uid', async () => {
      const policy = fresh()
      const { object } = await objects.ensure(collection, policy, mine, signal())
      const { name: called, uid } = object.metadata!
      expect(await objects.remove(collection, called!, 'not-this-one', signal())).toBe(false)
      expect(await objects.find(collection, called!, signal())).not.toBeNull()
      expect(await objects.remove(collection, called!, uid!, signal())).toBe(true)
      expect(await objects.remove(collection, called!, uid!, signal())).toBe(false)
    })

    test('a watched list sees what is there, what comes, changes and goes, in order', async () => {
      const seen: string[] = []
      const wakes = new Set<() => void>()
      const path = objects.path(collection)
      const list = new WatchedList<Pod>({
        client,
        path,
        selector: { labelSelector: 'watch=me' },
        clock: systemClock,
        random: Math.random,
        log,
        changed: ({ kind, object }) => {
          seen.push(`${kind} ${object.metadata?.annotations?.n ?? 0}`)
          for (const wake of wakes) wake()
        },
      })
      const until = (what: string) =>
        new Promise<void>(resolve => {
          const check = () => seen.at(-1) === what && wakes.delete(check) && resolve()
          wakes.add(check)
          check()
        })
      const policy = fresh({ ...mine, watch: 'me' })
      const { object } = await objects.ensure(collection, policy, mine, signal())
      const life = new AbortController()
      const running = list.run(life.signal)
      await list.ready
      expect(new Set(seen)).toEqual(new Set(['set 0']))
      await objects.patch(collection, policy.metadata!.name!, { metadata: { annotations: { n: '1' } } }, signal())
      await until('set 1')
      await objects.ensure(collection, fresh({ ...mine, watch: 'not' }), mine, signal())
      await objects.remove(collection, policy.metadata!.name!, object.metadata!.uid!, signal())
      await until('gone 1')
      expect([...new Set(seen)]).toEqual(['set 0', 'set 1', 'gone 1'])
      expect(list.items.size).toBe(0)
      life.abort()
      await running
    })

    test('a watch from a version that is forgotten is told 410', async () => {
      const path = objects.path(collection)
      const query = { watch: true, resourceVersion: '1', timeoutSeconds: 5 }
      const body = await client.stream({ method: 'GET', path, query, priority: 'look', signal: signal() })
      let text = ''
      for await (const chunk of body) {
        text += String(chunk)
        if (text.includes('\n')) break
      }
      expect(JSON.parse(text.split('\n')[0]!)).toMatchObject({ type: 'ERROR', object: { code: 410 } })
    })

    test('the agent’s Secret keeps two texts, each changed alone', async () => {
      const parts = { client, namespace: place.system, name: place.state, signal: signal() }
      const [key, state] = [secretStore(parts, 'key'), secretStore(parts, 'state')]
      expect(await key.load()).toBeNull()
      await key.save('secret ä')
      await state.save('{"epoch":1}')
      await state.save('{"epoch":2}')
      expect([await key.load(), await state.load()]).toEqual(['secret ä', '{"epoch":2}'])
      const other = secretStore({ ...parts, name: 'porthole-agent-nobody' }, 'key')
      expect(await refused(other.load())).toMatchObject({ name: 'StateError' })
    })

    test('of two agents one acts; a clean end lets the other begin at once', async () => {
      const parts = { client, namespace: place.system, name: place.state, clock: systemClock, log }
      const stop = new AbortController()
      const a = await holdLease({ ...parts, holder: 'a' }, signal())
      let second: string | null = null
      const waiting = holdLease({ ...parts, holder: 'b' }, stop.signal).then(lease => {
        second = 'b'
        return lease
      })
      const impatient = new AbortController()
      const c = refused(holdLease({ ...parts, holder: 'c' }, impatient.signal))
      impatient.abort(new Error('enough'))
      expect(await c).toMatchObject({ message: 'enough' })
      expect(second).toBeNull()
      await a.release()
      const b = await waiting
      expect(b.lost.aborted).toBe(false)
      await b.release()
      stop.abort()
    })
  })
}
