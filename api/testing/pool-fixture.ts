/**
 * The API with one cluster, which is only rows, and its pools:
 *
 *   const fixture = poolFixture()      // at the top of a test file
 *   const { create, filled } = fixture
 *   beforeEach(() => ({ api, cluster, token } = fixture.now))
 */
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { clusters, sessions, volumes, warm_sessions } from '#db/schema.ts'
import { sweepSessions } from '../sessions/sweep.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from './api-fixture.ts'
import { capable, FakeCluster } from './fake-cluster.ts'

interface Now {
  api: ApiFixture
  cluster: FakeCluster
  /** A user's, who makes and reads sessions. */
  token: Minted
}

export const warmable = (places = 10) => {
  const can = capable(places)
  return { ...can, features: [...can.features, 'warm'] }
}

export function poolFixture() {
  const now = {} as Now
  beforeAll(async () => {
    now.api = await apiFixture()
    await loadBuiltinTemplates(now.api.db)
  })
  afterAll(() => now.api.close())
  beforeEach(async () => {
    const { api } = now
    await api.settled()
    await api.db.delete(sessions)
    await api.db.delete(volumes)
    await api.db.delete(clusters)
    now.cluster = await new FakeCluster(api).connect(warmable())
    now.token = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'clusters:read'] })
  })

  const make = async (body: object = {}, as = now.api.admin) =>
    now.api.call('POST', '/v1/pools', { token: as, body: { template: 'chromium', size: 1, ...body } })
  const create = (body: object = {}, as: Minted = now.token, headers?: Record<string, string>) =>
    now.api.call('POST', '/v1/sessions', { token: as, body: { template: 'chromium', ...body }, headers })
  const sweep = () => sweepSessions({ db: now.api.db, tunnel: now.api.tunnel, origin })
  const rows = () => now.api.db.select().from(warm_sessions).orderBy(warm_sessions.created_at)
  const seen = (id: string, phase: 'starting' | 'running' | 'ended' | 'absent', more: object = {}) =>
    now.cluster.report([{ id, phase, ...more }])

  /** A pool whose sessions all run. */
  async function filled(size = 1, body: object = {}): Promise<string[]> {
    const { body: pool } = await make({ size, ...body })
    const ids: string[] = []
    while (ids.length < size) {
      await sweep()
      const fresh = (await rows()).filter(row => row.pool_id === pool.id && !ids.includes(row.id))
      for (const { id } of fresh) {
        await seen(id, 'running', { warm: 'waiting', versions: { browser: 'Chromium 1' } })
        ids.push(id)
      }
    }
    return ids
  }
  return { now, make, create, sweep, rows, seen, filled }
}
