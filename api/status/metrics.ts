/** Everything `/metrics` tells. Sums only: no name, no id and no project is a label. */
import { sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import type { ProcessFigures } from '../platform.ts'
import { sessionStatuses } from '../sessions/lifecycle.ts'
import type { Family } from './exposition.ts'

/** null: the database cannot be reached, which is itself told. */
export async function databaseFamilies(db: Db): Promise<Family[] | null> {
  type Row = { what: string; word: string; n: string }
  const read = () =>
    db.execute<Row>(sql`
      select 'sessions' as what, status as word, count(*) as n from sessions where desired <> 'deleted' group by status
      union all
      select 'clusters', case when agent_id is null then 'pending'
        when link_replica_id is not null and link_seen_at > clock_timestamp() - make_interval(secs => ${linkTiming.offline / 1000})
        then 'online' else 'offline' end, count(*) from clusters group by 2
      union all
      select 'streams', kind, count(*) from grants where closed_at is null group by kind
      union all
      select 'warm', status, count(*) from warm_sessions where desired = 'running' group by status
      union all
      select 'pool', figure.word, figure.n from (select coalesce(sum(hits), 0) as hits, coalesce(sum(misses), 0) as misses,
          coalesce(sum(refills), 0) as refills, coalesce(sum(refill_ms), 0) as refill_ms from pools) p,
        lateral (values ('hits', p.hits), ('misses', p.misses), ('refills', p.refills), ('refill_ms', p.refill_ms)) as figure(word, n)
      union all
      select 'connections', coalesce(state, 'other'), count(*) from pg_stat_activity where datname = current_database() group by 2`)
  let rows: Row[]
  try {
    rows = [...(await read())]
  } catch {
    return null
  }
  const counted = (what: string, label: string, words: readonly string[]) => {
    const found = rows.filter(row => row.what === what)
    const all = new Set([...words, ...found.map(row => row.word)])
    return [...all].map(word => ({ labels: { [label]: word }, value: Number(found.find(row => row.word === word)?.n ?? 0) }))
  }
  const pool = (word: string) => Number(rows.find(row => row.what === 'pool' && row.word === word)?.n ?? 0)
  const count = (name: string, help: string, value: number): Family => ({ name, help, type: 'counter', samples: [{ value }] })
  const gauge = (name: string, help: string, samples: Family['samples']): Family => ({ name, help, type: 'gauge', samples })
  return [
    gauge('porthole_sessions', 'Sessions by status.', counted('sessions', 'status', sessionStatuses)),
    gauge('porthole_clusters', 'Clusters by status.', counted('clusters', 'status', ['pending', 'online', 'offline'])),
    gauge('porthole_streams', 'Live streams of all replicas by kind.', counted('streams', 'kind', ['vnc', 'playwright', 'cdp'])),
    gauge('porthole_warm_sessions', 'Sessions of pools by status.', counted('warm', 'status', ['starting', 'ready', 'ended'])),
    count('porthole_pool_hits_total', 'Creates that got a warm session.', pool('hits')),
    count('porthole_pool_misses_total', 'Creates that fitted a pool and found it empty.', pool('misses')),
    {
      name: 'porthole_pool_refill_seconds',
      help: 'Time from the start of a warm session until it is ready.',
      type: 'histogram',
      samples: [
        { suffix: '_bucket', labels: { le: '+Inf' }, value: pool('refills') },
        { suffix: '_sum', value: pool('refill_ms') / 1000 },
        { suffix: '_count', value: pool('refills') },
      ],
    },
    gauge('porthole_database_connections', 'Connections to the database by state.', counted('connections', 'state', [])),
  ]
}

export function processFamilies(figures: ProcessFigures, version: string, databaseUp: boolean): Family[] {
  const one = (name: string, help: string, value: number | null, type: Family['type'] = 'gauge'): Family => ({
    name,
    help,
    type,
    samples: value === null ? [] : [{ value }],
  })
  return [
    {
      name: 'porthole_build_info',
      help: 'What runs here.',
      type: 'gauge',
      samples: [{ labels: { version, platform: figures.platform }, value: 1 }],
    },
    one('porthole_database_up', 'The database answered this scrape.', databaseUp ? 1 : 0),
    one('porthole_replica_links', "Agents' control links this replica holds.", figures.links),
    one('porthole_replica_streams', 'Live streams this replica holds.', figures.streams),
    one('porthole_replica_uptime_seconds', 'Age of this replica.', figures.uptime_seconds),
    one('process_resident_memory_bytes', 'Memory of this process.', figures.memory_bytes),
    one('process_cpu_seconds_total', 'CPU time of this process.', figures.cpu_seconds, 'counter'),
  ]
}
