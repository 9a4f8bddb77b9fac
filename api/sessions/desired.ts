/**
 * What a cluster's agent should know. Every change of desired state takes the cluster's next `seq` in its own transaction
 * (`takeSeq` locks the cluster row), so a reader that has seen `seq` can have missed nothing below it.
 */
import { eq, sql } from 'drizzle-orm'
import type { Db, Sql } from '#db/client.ts'
import { keptSql, rowsOf } from '#db/kept.ts'
import { clusters } from '#db/schema.ts'
import type { DesiredJob } from '#protocol/job-spec.ts'
import type { DesiredSession, SessionSpec } from '#protocol/session-spec.ts'
import type { ApiConfig } from '../config.ts'
import { desiredJobs, desiredPageBytes, type JobJson, jobColumns } from '../jobs/desired.ts'
import { endedLately } from '../terminals/ended.ts'
import type { DesiredPage } from '../tunnel/link-port.ts'

/** Locks the cluster row until the transaction ends and answers its next number. */
export async function takeSeq(tx: Sql, cluster: string): Promise<number> {
  const [row] = await tx
    .update(clusters)
    .set({ seq: sql`${clusters.seq} + 1` })
    .where(eq(clusters.id, cluster))
    .returning({ seq: clusters.seq })
  if (!row) throw new Error(`cluster ${cluster} is gone`)
  return row.seq
}

/** Rows as their JSON says them; `spec` is left out where nothing is to run. */
interface SessionJson {
  id: string
  generation: number
  desired: DesiredSession['state']
  spec: SessionSpec | null
  ttl_ms: number | null
  idle_timeout_seconds: number | null
  touches: number
  change_seq: number
}
type WarmJson = Pick<SessionJson, 'id' | 'desired' | 'spec' | 'change_seq'>

interface PageRow {
  agent_id: string | null
  epoch: string
  seq: string
  sessions: SessionJson[]
  warm: WarmJson[]
  jobs: JobJson[]
  volumes: { id: string }[]
  terminals: { id: string }[]
}

/**
 * What a cluster's numbers above `seq` say. That no change is above the cluster's own number is told to the planner, which otherwise
 * guesses that a third of a table is new and plans each use anew.
 */
const news = sql`cluster_id = ${sql.placeholder('cluster')} and change_seq > ${sql.placeholder('seq')} and change_seq <= clusters.seq`
const oldestFirst = sql`order by change_seq limit ${sql.placeholder('limit')}`
const specUnlessDeleted = sql.raw(`case when desired <> 'deleted' then spec end as spec`)

/** One statement sees one moment: the numbers fit the rows, and the row also says whose link still counts. */
const pageSince = keptSql<PageRow>(sql`
  select agent_id, epoch, seq,
    ${rowsOf(sql`
      select id, generation, desired, ${specUnlessDeleted}, idle_timeout_seconds, touches, change_seq,
        extract(epoch from expires_at - clock_timestamp()) * 1000 as ttl_ms
      from sessions where ${news} ${oldestFirst}`)} as sessions,
    ${rowsOf(sql`select id, desired, ${specUnlessDeleted}, change_seq from warm_sessions where ${news} ${oldestFirst}`)} as warm,
    ${rowsOf(sql`select ${jobColumns} from jobs where ${news} and desired <> 'released' ${oldestFirst}`)} as jobs,
    ${rowsOf(sql`select id from volumes where ${news} and desired = 'deleted'`)} as volumes,
    ${rowsOf(sql`select id from terminals where ${news} and ${endedLately}`)} as terminals
  from clusters where id = ${sql.placeholder('cluster')}`)

/**
 * Items changed after `seq` (0: all), oldest change first, at most `limit`. Several items never share a number of one cluster, so a page may
 * end anywhere; go on with the page's `seq`.
 */
export async function desiredSince(
  db: Db,
  cluster: string,
  seq: number,
  { limit, config }: { limit: number; config: ApiConfig },
): Promise<DesiredPage> {
  const [row] = await pageSince(db, { cluster, seq, limit: limit + 1 })
  if (!row) return { holder: null, items: [], deletedVolumes: [], jobs: [], seq, complete: true }
  const items = [
    ...row.sessions.map(each => ({ seq: each.change_seq, item: desiredItem(each) })),
    ...row.warm.map(each => ({ seq: each.change_seq, item: warmItem(each) })),
  ]
  const page = firstOf(items, await desiredJobs(db, config, row.jobs), limit)
  return {
    holder: { agent: row.agent_id, epoch: Number(row.epoch) },
    deletedVolumes: row.volumes.map(volume => volume.id),
    endedTerminals: row.terminals.map(terminal => terminal.id),
    items: page.items,
    jobs: page.jobs,
    seq: page.complete ? Number(row.seq) : page.seq,
    complete: page.complete,
  }
}

/** The oldest changes of both kinds that fit into one page, and how far it goes. */
function firstOf(items: { seq: number; item: DesiredSession }[], jobs: { seq: number; job: DesiredJob }[], limit: number) {
  const order = [
    ...items.map(({ seq, item }) => ({ seq, bytes: 0, item })),
    ...jobs.map(({ seq, job }) => ({ seq, bytes: JSON.stringify(job).length, job })),
  ].sort((a, b) => a.seq - b.seq)
  let bytes = 0
  let count = 0
  for (const each of order) {
    bytes += each.bytes
    if (count === limit || (count > 0 && bytes > desiredPageBytes)) break
    count++
  }
  const shown = order.slice(0, count)
  return {
    items: shown.flatMap(each => ('item' in each ? [each.item] : [])),
    jobs: shown.flatMap(each => ('job' in each ? [each.job] : [])),
    seq: shown.at(-1)?.seq ?? 0,
    complete: count === order.length,
  }
}

function desiredItem({ id, generation, desired, spec, ttl_ms, idle_timeout_seconds, touches }: SessionJson): DesiredSession {
  return {
    kind: 'session',
    id,
    generation,
    state: desired,
    ...(spec === null ? {} : { spec }),
    ttl_remaining_ms: ttl_ms === null ? null : Math.round(ttl_ms),
    idle_timeout_ms: idle_timeout_seconds === null ? null : idle_timeout_seconds * 1000,
    touches,
  }
}

/** Nobody's yet: no deadlines. Taking it counts as the first touch, so that idle time begins then. */
function warmItem({ id, desired, spec }: WarmJson): DesiredSession {
  const without = { ttl_remaining_ms: null, idle_timeout_ms: null, touches: 0, warm: true }
  return { kind: 'session', id, generation: 1, state: desired, ...(spec === null ? {} : { spec }), ...without }
}
