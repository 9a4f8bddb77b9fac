/** The rows behind live streams: joined once by the agent's key, closed once, and looked over every few seconds while open. */
import { and, eq, gt, isNull, type SQL, sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { grants } from '#db/schema.ts'
import type { CloseWord } from '#protocol/close-codes.ts'
import { newId } from '../ids.ts'

const unused = (stream: string, keyHash: Uint8Array) =>
  and(
    eq(grants.id, stream),
    eq(grants.key_hash, keyHash),
    isNull(grants.joined_at),
    isNull(grants.closed_at),
    gt(grants.opened_at, sql`clock_timestamp() - interval '60 seconds'`),
  )

/** Uses the key up. False: unknown, used, closed or old. */
export async function joinGrant(db: Db, stream: string, keyHash: Uint8Array): Promise<boolean> {
  const rows = await db
    .update(grants)
    .set({ joined_at: sql`clock_timestamp()` })
    .where(unused(stream, keyHash))
    .returning({ id: grants.id })
  return rows.length === 1
}

/** Replica that waits for this stream's data socket, for a key that could still be used; null: no such grant. */
export async function grantHome(
  db: Db,
  stream: string,
  keyHash: Uint8Array,
): Promise<{ replica: string; url: string | null } | null> {
  const rows = await db
    .select({ replica: grants.replica_id, url: sql<string | null>`(select url from replicas where id = ${grants.replica_id})` })
    .from(grants)
    .where(unused(stream, keyHash))
  return rows[0] ?? null
}

export interface ClosedStream {
  id: string
  code: number
  reason?: string
  /** Viewer to session, and back. */
  bytesIn?: number
  bytesOut?: number
}

/** Closes rows that are open, and writes in the same statement what the audit tells of their ends (exchanges and logs are not told). */
export async function closeGrants(db: Db, closed: readonly ClosedStream[]): Promise<void> {
  if (closed.length === 0) return
  const over = closed.map(({ id, code, reason, bytesIn, bytesOut }) => ({
    id,
    code,
    reason: reason?.slice(0, 200),
    bytes_in: bytesIn,
    bytes_out: bytesOut,
    audit: newId('aud'),
  }))
  await db.execute(sql`
    with closed as (
      update grants set closed_at = clock_timestamp(), close_code = over.code, bytes_in = over.bytes_in, bytes_out = over.bytes_out
      from jsonb_to_recordset(${JSON.stringify(over)}::jsonb)
        as over(id text, code int, reason text, bytes_in bigint, bytes_out bigint, audit text)
      where grants.id = over.id and grants.closed_at is null
      returning grants.*, over.audit, over.reason
    )
    insert into audit (id, project_id, actor_kind, actor, token_id, action, target, outcome, address, detail)
    select audit, project_id, case when link_id is null then 'token' else 'link' end, coalesce(link_id, user_id), token_id,
      'stream.close', session_id, case when joined_at is null then 'failed' else 'ok' end, address,
      jsonb_strip_nulls(jsonb_build_object('stream', id, 'kind', kind, 'role', role, 'code', close_code, 'reason', reason,
        'bytes_in', bytes_in, 'bytes_out', bytes_out,
        'seconds', round(extract(epoch from closed_at - opened_at)::numeric, 1)))
    from closed where kind not in ('http', 'logs')`)
}

/** Open streams of this replica that may no longer be: their token, project or session is gone. */
export async function endedGrants(db: Db, replica: string): Promise<{ id: string; word: CloseWord }[]> {
  const rows = await judged(db, sql`g.replica_id = ${replica}`, sql`word is not null`)
  return rows as { id: string; word: CloseWord }[]
}

/** Every open stream of a cluster, and the word it should end with, if it should. */
export async function openGrants(db: Db, cluster: string): Promise<{ id: string; joined: boolean; word: CloseWord | null }[]> {
  return judged(db, sql`g.cluster_id = ${cluster}`, sql`true`)
}

async function judged(db: Db, of: SQL, wanted: SQL): Promise<{ id: string; joined: boolean; word: CloseWord | null }[]> {
  const rows = await db.execute<{ id: string; joined: boolean; word: CloseWord | null }>(sql`
    select id, joined, word from (
      select g.id, g.joined_at is not null as joined, case
        when g.token_id is not null and (t.id is null or t.revoked_at is not null) then 'revoked'
        when g.link_id is not null and (l.id is null or l.revoked_at is not null or l.expires_at <= clock_timestamp()) then 'revoked'
        when p.id is null or p.suspended_at is not null then 'revoked'
        when t.expires_at <= clock_timestamp() or t.grace_until <= clock_timestamp() then 'token_ended'
        -- One that ended by itself can be read to its last word: the agent closes it.
        when g.terminal_id is not null and (m.id is null or m.deleted_at is not null or m.cause = 'token_ended') then 'target_ended'
        when s.id is null and v.id is null and (j.id is null or j.desired = 'deleted') then 'target_ended'
        -- Logs and files may be read also of what ended.
        when g.kind not in ('http', 'logs') and (s.desired = 'deleted' or s.ended_at is not null) then 'target_ended'
      end as word
      from grants g
      left join tokens t on t.id = g.token_id
      left join links l on l.id = g.link_id
      left join projects p on p.id = g.project_id
      left join sessions s on s.id = g.session_id
      left join volumes v on v.id = g.session_id
      left join jobs j on j.id = g.session_id
      left join terminals m on m.id = g.terminal_id
      where ${of} and g.closed_at is null
    ) as looked where ${wanted}`)
  return [...rows]
}

/** Streams of this cluster that its agent, whose link began after they were joined, does not carry. */
export async function closeUncarriedGrants(db: Db, cluster: string, carried: readonly string[]): Promise<void> {
  await closeLost(
    db,
    sql`select grants.id from grants join clusters on clusters.id = grants.cluster_id
      where clusters.id = ${cluster} and grants.closed_at is null and grants.joined_at < clusters.link_since
        and grants.id not in (select jsonb_array_elements_text(${JSON.stringify(carried)}::jsonb))`,
  )
}

/** Streams that never met, and those of clusters not heard of for longer than any agent goes on without a renewal. */
export async function closeForsakenGrants(db: Db, replica: string): Promise<void> {
  await closeLost(
    db,
    sql`select id from grants
      where closed_at is null and replica_id = ${replica} and opened_at < clock_timestamp() - interval '60 seconds' and (
        joined_at is null or not exists (select from clusters where clusters.id = grants.cluster_id
          and clusters.link_seen_at > clock_timestamp() - interval '150 seconds'))`,
  )
}

/** Rows that say open although this replica carries no such stream (its process may have died in between). */
export async function closeLostGrants(db: Db, replica: string, carried: readonly string[]): Promise<void> {
  await closeLost(
    db,
    sql`select id from grants
      where closed_at is null and opened_at < clock_timestamp() - interval '60 seconds' and (
        (replica_id = ${replica} and id not in (select jsonb_array_elements_text(${JSON.stringify(carried)}::jsonb)))
        or not exists (select from replicas where replicas.id = grants.replica_id
          and replicas.seen_at > clock_timestamp() - interval '60 seconds'))`,
  )
}

async function closeLost(db: Db, which: SQL): Promise<void> {
  const lost = await db.execute<{ id: string }>(which)
  const ends = [...lost].map(({ id }) => ({ id, code: 1011, reason: 'lost' }))
  await closeGrants(db, ends)
}

/** Where the agents of these open streams are. */
export async function clustersOf(db: Db, streams: readonly string[]): Promise<{ id: string; cluster: string }[]> {
  if (streams.length === 0) return []
  const rows = await db.execute<{ id: string; cluster: string }>(sql`
    select id, cluster_id as cluster from grants
    where id in (select jsonb_array_elements_text(${JSON.stringify(streams)}::jsonb)) and closed_at is null`)
  return [...rows]
}

/** Those of an agent's streams that no grant stands behind any more. */
export async function unknownStreams(db: Db, cluster: string, streams: readonly string[]): Promise<string[]> {
  if (streams.length === 0) return []
  const rows = await db.execute<{ id: string }>(sql`
    select carried.id from jsonb_array_elements_text(${JSON.stringify(streams)}::jsonb) as carried(id)
    where not exists (select from grants where grants.id = carried.id and grants.cluster_id = ${cluster} and closed_at is null)`)
  return rows.map(row => row.id)
}
