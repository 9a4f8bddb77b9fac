/**
 * The chain of hashes over a project's audit. It is added behind the records by a sweep, not by who writes them: writers never wait for each other,
 * and a record is linked within seconds. Only rows older than every open transaction are linked, so none can come in between later.
 *
 *   hash(n) = SHA-256( hash(n-1) || the row of record n as JSON )
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Db, Sql } from '#db/client.ts'

const key = 'audit_chain'
const batch = 1_000

/** What is hashed: every column that says something, in an order of its own. Changing it would break every chain there is. */
const bytesOf = (
  row: SQL,
) => sql`convert_to(jsonb_build_array(${row}.id, ${row}.project_id, ${row}.actor_kind, ${row}.actor, ${row}.token_id,
  ${row}.action, ${row}.target, ${row}.outcome, ${row}.address, ${row}.request_id, ${row}.detail,
  to_char(${row}.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS'))::text, 'UTF8')`

/** Every few seconds; on any number of replicas one does it, the others pass by. */
export async function linkAudit(db: Db): Promise<void> {
  await db.execute(sql`insert into settings (key, value) values (${key}, '{"tx":"0","seq":0}') on conflict do nothing`)
  for (let linked = batch; linked === batch; ) linked = await linkSome(db)
}

async function linkSome(db: Db): Promise<number> {
  return db.transaction(async tx => {
    const [at] = await tx.execute<{ tx: string; seq: string }>(sql`
      select value ->> 'tx' as tx, value ->> 'seq' as seq from settings where key = ${key} for update skip locked`)
    if (!at) return 0
    const [last] = await tx.execute<{ linked: number; tx: string | null; seq: string | null }>(sql`
      with recursive fresh as (
        select a.id, coalesce(a.project_id, '') as project, a.tx, a.seq, ${bytesOf(sql`a`)} as bytes,
          row_number() over (partition by coalesce(a.project_id, '') order by a.tx, a.seq) as n
        from (select * from audit where (tx, seq) > (${at.tx}::xid8, ${at.seq}::bigint) and tx < pg_snapshot_xmin(pg_current_snapshot())
          order by tx, seq limit ${batch}) a
      ), heads as (
        select f.project, h.place, h.hash from (select distinct project from fresh) f
        left join lateral (select place, hash from audit_chain c where c.project_id = f.project order by place desc limit 1) h on true
      ), chain as (
        select f.project, f.id, f.n, coalesce(h.place, 0) + 1 as place, sha256(coalesce(h.hash, ''::bytea) || f.bytes) as hash
        from fresh f join heads h on h.project = f.project where f.n = 1
        union all
        select f.project, f.id, f.n, c.place + 1, sha256(c.hash || f.bytes)
        from chain c join fresh f on f.project = c.project and f.n = c.n + 1
      ), added as (
        insert into audit_chain (project_id, place, audit_id, hash) select project, place, id, hash from chain
      )
      select count(*)::int as linked, (array_agg(tx::text order by tx desc, seq desc))[1] as tx,
        (array_agg(seq::text order by tx desc, seq desc))[1] as seq from fresh`)
    if (!last || last.linked === 0) return 0
    await tx.execute(sql`
      update settings set value = jsonb_build_object('tx', ${last.tx}::text, 'seq', ${last.seq}::bigint) where key = ${key}`)
    return last.linked
  })
}

export interface ChainFacts {
  /** Links made since the beginning. */
  length: number
  head: string | null
  /** Links that could be looked at: older ones went with their records. */
  checked: number
  /** Records whose link does not fit them or the one before; also one that is gone although newer than the oldest. */
  broken: string[]
}

/** Looks at every link of a project; of the first that is kept the record may be gone. */
export async function checkChain(db: Sql, project: string): Promise<ChainFacts> {
  const [facts] = await db.execute<{ length: string | null; head: string | null; checked: string; broken: string[] | null }>(sql`
    with links as (
      select c.place, c.audit_id, c.hash, lag(c.hash) over w as before, lag(c.place) over w as previous
      from audit_chain c where c.project_id = ${project} window w as (order by c.place)
    ), looked as (
      select l.place, l.audit_id, l.hash,
        case when l.previous is null and a.id is null then true
          else a.id is not null and coalesce(a.project_id, '') = ${project} and l.place = coalesce(l.previous, 0) + 1
            and l.hash = sha256(coalesce(l.before, ''::bytea) || ${bytesOf(sql`a`)}) end as fits,
        l.previous is null and a.id is null as anchor
      from links l left join audit a on a.id = l.audit_id
    )
    select max(place) as length, (select encode(hash, 'hex') from looked order by place desc limit 1) as head,
      count(*) filter (where not anchor) as checked,
      to_jsonb((array_agg(audit_id order by place) filter (where fits is not true))[1:20]) as broken from looked`)
  return {
    length: Number(facts?.length ?? 0),
    head: facts?.head ?? null,
    checked: Number(facts?.checked ?? 0),
    broken: facts?.broken ?? [],
  }
}
