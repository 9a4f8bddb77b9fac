import { expect, test } from 'vitest'
import type { Cluster, Job, LiveEvent, Session } from '../api/contract.ts'
import { noEntities, valuesOf } from './entities.ts'
import { applyEvent } from './live.ts'
import { createStore } from './observable.ts'

function stores() {
  return {
    sessions: createStore(noEntities<Session>()),
    clusters: createStore(noEntities<Cluster>()),
    jobs: createStore(noEntities<Job>()),
  }
}
const event = (type: string, more: object): LiveEvent => ({ id: 'evt_1', object: 'event', type, created_at: '', ...more })
const session = (status: string) => ({ id: 'ses_1', status, created_at: '2026-11-21T12:00:00Z' })

test('a session is made, changed and deleted by events', () => {
  const { sessions, clusters, jobs } = stores()
  applyEvent(event('session.created', { session: session('queued') }), sessions, clusters, jobs)
  applyEvent(event('session.updated', { session: session('running') }), sessions, clusters, jobs)
  expect(valuesOf(sessions.get()).map(one => one.status)).toEqual(['running'])
  applyEvent(event('session.deleted', { session_id: 'ses_1' }), sessions, clusters, jobs)
  expect(valuesOf(sessions.get())).toEqual([])
})

test('a deletion may carry the whole object', () => {
  const { sessions, clusters, jobs } = stores()
  applyEvent(event('session.created', { session: session('queued') }), sessions, clusters, jobs)
  applyEvent(event('session.deleted', { session: session('stopped') }), sessions, clusters, jobs)
  expect(valuesOf(sessions.get())).toEqual([])
})

test('events of unknown kinds and without an object change nothing', () => {
  const { sessions, clusters, jobs } = stores()
  for (const type of ['job.updated', 'session.updated', 'session', 'cluster.updated', ''])
    applyEvent(event(type, {}), sessions, clusters, jobs)
  expect(valuesOf(sessions.get())).toEqual([])
  expect(valuesOf(clusters.get())).toEqual([])
})

test('listeners hear a change once, and not at all for the same value', () => {
  const store = createStore(1)
  let heard = 0
  const end = store.subscribe(() => heard++)
  store.set(2)
  store.set(2)
  end()
  store.set(3)
  expect(heard).toBe(1)
})
