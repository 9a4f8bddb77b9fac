/**
 * Taking warm sessions, in the transaction of the creates: one statement finds those that fit and removes them from their pools (nobody else can
 * find them again). Of racers, each gets others or none: locked ones are passed over.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import { keptSql } from '#db/kept.ts'
import type { warm_sessions } from '#db/schema.ts'
import { together } from '#db/together.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { canComeWarm, fitOf } from './fit.ts'

export interface Claimed {
  id: string
  pool: string | null
  cluster: string
  /** It runs; false: it is on its way up, which is still sooner than one that was not begun. */
  ready: boolean
  /** It has the display and the environment that were asked for. */
  same: boolean
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
 * At most `count` of those that fit, the best first. Handed out as running are only those that their agent has reported so on the link it has
 * now; where there are none, such as are starting just now. Their clusters are not locked by this: the caller does so next.
 */
export async function claimWarm(tx: Tx, wish: ClaimWish, count: number): Promise<Claimed[]> {
  return [...(await taking(tx, claimValues(wish, count)))]
}

/** What those steps need. */
export function claimValues({ project, spec, placement }: ClaimWish, count: number) {
  const { width, height } = spec.display
  return {
    ...{ project, count, fit: fitOf(spec), kind: spec.kind, env: JSON.stringify(spec.env) },
    display: JSON.stringify({ width, height }),
    cluster: placement.cluster ?? null,
    only: placement.only ? JSON.stringify(placement.only) : null,
    selector: JSON.stringify(placement.selector ?? {}),
  }
}

const [kind, env, display, selector] = [
  sql`${sql.placeholder('kind')}::text`,
  sql`${sql.placeholder('env')}::jsonb`,
  sql`${sql.placeholder('display')}::jsonb`,
  sql`${sql.placeholder('selector')}::jsonb`,
]
const [cluster, only] = [sql`${sql.placeholder('cluster')}::text`, sql`${sql.placeholder('only')}::jsonb`]

/** Steps of a statement: the best of those that are asked for, locked, and then taken. */
const claimStepsOf = (which: SQL, best: SQL) => sql`best as (
    select w.id from warm_sessions w join clusters c on c.id = w.cluster_id left join pools p on p.id = w.pool_id
    where ${which} and w.desired = 'running' and w.fit = ${sql.placeholder('fit')}
      and c.link_replica_id is not null
      and c.link_seen_at > clock_timestamp() - make_interval(secs => ${sql.raw(String(linkTiming.offline / 1000))})
      and c.scheduling = 'open' and (c.project_id is null or c.project_id = ${sql.placeholder('project')})
      and w.created_at > clock_timestamp() - make_interval(secs => p.max_age_seconds)
      and (${cluster} is null or ${cluster} in (c.id, c.name)) and (${only} is null or ${only} ? c.id)
      and c.labels @> ${selector}
    order by ${best} limit ${sql.placeholder('count')} for update of w skip locked),
  taken as (delete from warm_sessions w using best where w.id = best.id returning w.*)`

/** Those that can become what is asked for. */
const fitting = claimStepsOf(
  sql`(w.status = 'ready' and w.ready_epoch = c.epoch
        or w.status = 'starting' and w.created_at > clock_timestamp() - interval '30 seconds')
      and ${env} ?& array(select jsonb_object_keys(w.spec -> 'env')) and (${kind} = 'browser' or w.spec -> 'env' = ${env})`,
  sql`w.status = 'ready' desc, (w.spec -> 'env' = ${env}) desc, (w.spec -> 'display' = ${display}) desc, w.ready_at, w.id`,
)

/** The steps with which a statement takes those that are ready and as asked for already, in the order of an index. `also`: what else must be so. */
export const sameSteps = (also: SQL) =>
  claimStepsOf(
    sql`${also} and w.status = 'ready' and w.ready_epoch = c.epoch and w.spec -> 'env' = ${env} and w.spec -> 'display' = ${display}`,
    sql`w.ready_at, w.id`,
  )

/** Of `taken`: a `Claimed`. */
export const claimedColumns = sql`id, pool_id as pool, cluster_id as cluster, status = 'ready' as ready,
  (spec -> 'env' = ${env} and spec -> 'display' = ${display}) as same, versions, notes, pod`

const taking = keptSql<Claimed>(sql`with ${fitting} select ${claimedColumns} from taken order by ready desc, ready_at, id`)

/** What warm ones there are, whoever may have them: most creates then know that they need not look. */
export const warmFits = sql`select distinct fit from warm_sessions where desired = 'running' and status in ('ready', 'starting')`

/** For the hit rate, and so that a pool knows it is wanted. Beside the create, not in it: nobody waits for a counter. */
export async function countAsked(db: Db, spec: SessionSpec, claimed: Claimed | null): Promise<void> {
  if (claimed?.ready ? claimed.pool !== null : canComeWarm(spec))
    await count(db, claimed?.ready ? { hit: claimed.pool! } : { miss: fitOf(spec) })
}

const count = together<{ hit: string } | { miss: string }, void>({
  ...{ atOnce: 1, most: 1_000, restMs: 250 },
  async work(db, asked) {
    const hits = tally(asked.flatMap(each => ('hit' in each ? [each.hit] : [])))
    const misses = tally(asked.flatMap(each => ('miss' in each ? [each.miss] : [])))
    if (hits)
      await db.execute(sql`
        update pools set hits = hits + t.n::int, last_asked_at = clock_timestamp()
        from jsonb_each_text(${hits}::jsonb) t(key, n) where id = t.key`)
    if (misses)
      await db.execute(sql`
        update pools set misses = misses + t.n::int, last_asked_at = clock_timestamp() from jsonb_each_text(${misses}::jsonb) t(key, n)
        where id = (select id from pools where fit = t.key order by id limit 1)`)
    return asked.map(() => ({ value: undefined }))
  },
})

/** How often each word occurs, as JSON; null: none at all. */
function tally(words: readonly string[]): string | null {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts.size === 0 ? null : JSON.stringify(Object.fromEntries(counts))
}
