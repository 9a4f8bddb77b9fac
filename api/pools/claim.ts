/**
 * Taking a warm session, in the transaction of the create: one statement finds one that fits, removes it from its pool (nobody else can
 * find it again) and takes its cluster's next number. Of racers, each gets another one or none: locked ones are passed over.
 */
import { sql } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import type { warm_sessions } from '#db/schema.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { canComeWarm, fitOf } from './fit.ts'

export interface Claimed {
  id: string
  pool: string | null
  cluster: string
  /** It runs; false: it is on its way up, which is still sooner than one that was not begun. */
  ready: boolean
  /** The cluster's number of this change. */
  seq: number
  versions: Record<string, string>
  notes: string[]
  pod: (typeof warm_sessions.$inferSelect)['pod']
}

export interface ClaimWish {
  project: string
  spec: SessionSpec
  /** `only`: clusters the token may use. */
  placement: { cluster?: string; selector?: Record<string, string>; only?: string[] }
}

/**
 * null: none that fits is there. Handed out as running is only one that its agent has reported so on the link it has now; where there is none,
 * one that is starting just now.
 */
export async function claimWarm(tx: Tx, { project, spec, placement }: ClaimWish): Promise<Claimed | null> {
  if (!canComeWarm(spec)) return null
  const env = JSON.stringify(spec.env)
  const { width, height } = spec.display
  const rows = await tx.execute<{ [K in keyof Claimed]: Claimed[K] }>(sql`
    with best as (
      select w.id from warm_sessions w join clusters c on c.id = w.cluster_id left join pools p on p.id = w.pool_id
      where w.desired = 'running' and w.fit = ${fitOf(spec)}
        and (w.status = 'ready' and w.ready_epoch = c.epoch
          or w.status = 'starting' and w.created_at > clock_timestamp() - interval '30 seconds')
        and c.link_replica_id is not null and c.link_seen_at > clock_timestamp() - make_interval(secs => ${linkTiming.offline / 1000})
        and c.scheduling = 'open' and (c.project_id is null or c.project_id = ${project})
        and w.created_at > clock_timestamp() - make_interval(secs => p.max_age_seconds)
        and (${placement.cluster ?? null}::text is null or ${placement.cluster ?? null}::text in (c.id, c.name))
        and (${placement.only === undefined} or ${JSON.stringify(placement.only ?? [])}::jsonb ? c.id)
        and c.labels @> ${JSON.stringify(placement.selector ?? {})}::jsonb
        and ${env}::jsonb ?& array(select jsonb_object_keys(w.spec -> 'env'))
        and (${spec.kind} = 'browser' or w.spec -> 'env' = ${env}::jsonb)
      order by w.status = 'ready' desc, (w.spec -> 'env' = ${env}::jsonb) desc,
        (w.spec -> 'display' = ${JSON.stringify({ width, height })}::jsonb) desc, w.ready_at, w.id
      limit 1 for update of w skip locked),
    taken as (delete from warm_sessions w using best where w.id = best.id returning w.*),
    told as (update clusters c set seq = c.seq + 1 from taken where c.id = taken.cluster_id returning c.seq)
    select taken.id, taken.pool_id as pool, taken.cluster_id as cluster, taken.status = 'ready' as ready, told.seq::float8 as seq, taken.versions, taken.notes, taken.pod
    from taken, told`)
  return rows[0] ?? null
}

/** For the hit rate, and so that a pool knows it is wanted. Beside the create, not in it: nobody waits for a counter. */
export async function countAsked(db: Db, spec: SessionSpec, claimed: Claimed | null): Promise<void> {
  if (claimed?.ready) {
    await db.execute(sql`update pools set hits = hits + 1, last_asked_at = clock_timestamp() where id = ${claimed.pool}`)
  } else if (canComeWarm(spec)) {
    await db.execute(sql`update pools set misses = misses + 1, last_asked_at = clock_timestamp()
      where id = (select id from pools where fit = ${fitOf(spec)} order by id limit 1)`)
  }
}
