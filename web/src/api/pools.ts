/** Sessions kept warm, so that a create that fits is answered at once. */
import type { List, Pool, PoolCreate, PoolPatch } from './contract.ts'
import type { Http } from './http.ts'

export function poolCalls({ json, maybe }: Http) {
  const pool = (id: string) => `/v1/pools/${encodeURIComponent(id)}`
  return {
    pools: (cursor: string | null, signal: AbortSignal) =>
      json<List<Pool>>('/v1/pools', { query: { cursor, limit: 100 }, signal }),
    createPool: (body: PoolCreate) => json<Pool>('/v1/pools', { method: 'POST', body }),
    changePool: (id: string, body: PoolPatch) => json<Pool>(pool(id), { method: 'PATCH', body }),
    deletePool: (id: string) => maybe(pool(id), { method: 'DELETE' }),
  }
}
