/**
 * How a pool keeps its size: what to end and what to begin, from what there is. Pure.
 *
 *   starting -> ready -> (taken: it is a session now)
 *       \         \---> ending: too old, of an old template, too many, its room needed
 *        \-> ended ----> replaced, later and later while starts fail
 *
 * At most one of a cluster starts at a time, and none while somebody's own session starts or waits there: a refill costs a browser's start.
 */

export interface PoolFacts {
  size: number
  idleSize: number
  idleAfterMs: number
  maxAgeMs: number
  /** Since somebody last asked for one, or since the pool was made. */
  quietMs: number
  /** What its sessions must be now; null: its template is gone. */
  fit: string | null
  /** Until a failed start may be tried again; 0: now. */
  retryInMs: number
}

export interface WarmFacts {
  id: string
  status: 'starting' | 'ready' | 'ended'
  fit: string
  ageMs: number
}

export interface ClusterFacts {
  /** `away`: its agent is not linked, nothing can be known or done; `closed`: it takes nothing, or cannot keep anything warm. */
  state: 'open' | 'closed' | 'away'
  /** Places that nothing holds, warm ones counted as holding theirs. */
  free: number
  /** Somebody's session starts there, or waits for a place. */
  busy: boolean
  /** Warm ones of any pool that are starting there. */
  starting: number
}

export interface PoolPlan {
  /** How many it should keep now. */
  target: number
  retire: string[]
  start: number
}

export function planPool(pool: PoolFacts, warm: readonly WarmFacts[], cluster: ClusterFacts): PoolPlan {
  const target = targetOf(pool, cluster)
  if (cluster.state === 'away') return { target, retire: [], start: 0 }
  const useless = warm.filter(each => each.status === 'ended' || each.fit !== pool.fit || each.ageMs >= pool.maxAgeMs)
  const good = warm.filter(each => !useless.includes(each))
  // Those that are not up yet are missed least, then the oldest.
  const order = [...good].sort((a, b) => Number(b.status === 'starting') - Number(a.status === 'starting') || b.ageMs - a.ageMs)
  const surplus = order.slice(0, Math.max(0, good.length - target))
  const wanted = Math.min(target - good.length, cluster.free, 1 - cluster.starting)
  const start = cluster.busy || pool.retryInMs > 0 ? 0 : Math.max(0, wanted)
  return { target, retire: [...useless, ...surplus].map(each => each.id), start }
}

function targetOf(pool: PoolFacts, cluster: ClusterFacts): number {
  if (cluster.state === 'closed' || pool.fit === null) return 0
  return pool.quietMs >= pool.idleAfterMs ? pool.idleSize : pool.size
}

/** After the nth failed start in a row. */
export function retryAfterMs(failures: number): number {
  return Math.min(300_000, 5_000 * 2 ** Math.max(0, failures - 1))
}
