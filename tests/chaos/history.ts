/**
 * What happened, written down by whoever saw it: clients (what was acknowledged), and the database itself, by triggers that see each change
 * of a session at its commit. The checker reads it afterwards; the numbers are those of the invariants.
 */
import type postgres from 'postgres'

export interface Acked {
  kind: 'create' | 'delete'
  session: string
  project: string
  at: number
}

export class History {
  readonly acked: Acked[] = []
  readonly faults: string[] = []
  /** Milliseconds from a stream's cut to its first byte again. */
  readonly gaps: number[] = []
  /** Milliseconds from an acknowledged revocation to the last byte over its stream. */
  readonly afterRevocation: number[] = []
  readonly secrets = new Set<string>()
  answers = 0
}

export async function watchDatabase(sql: postgres.Sql): Promise<void> {
  await sql.unsafe(`
    create table chaos_changes (seq bigserial primary key, op text, session text, project text, was text, status text, generation int, desired text, was_desired text);
    create table chaos_quota (project text, held int, allowed int);
    create function chaos_note() returns trigger language plpgsql as $$
    declare allowed int; held int;
    begin
      insert into chaos_changes (op, session, project, was, status, generation, desired, was_desired)
        values (tg_op, coalesce(new.id, old.id), coalesce(new.project_id, old.project_id), old.status, new.status, new.generation, new.desired, old.desired);
      if new.project_id is not null then
        select (quotas->>'max_sessions')::int into allowed from projects where id = new.project_id;
        select count(*) into held from sessions where project_id = new.project_id and status in ('queued', 'starting', 'running', 'stopping');
        if held > allowed then insert into chaos_quota values (new.project_id, held, allowed); end if;
      end if;
      return null;
    end $$;
    create trigger chaos_note after insert or update or delete on sessions for each row execute function chaos_note()`)
}

/** What the database's own record says against the invariants; empty when all is well. */
export async function checkDatabase(sql: postgres.Sql, history: History): Promise<string[]> {
  const faults: string[] = []
  const created = history.acked.filter(({ kind }) => kind === 'create')
  const rows = await sql<{ session: string; reached: boolean }[]>`
    select session, bool_or(status in ('running', 'stopped', 'failed', 'expired') or desired = 'deleted' or op = 'DELETE') as reached from chaos_changes group by session`
  const reached = new Map(rows.map(row => [row.session, row.reached]))
  for (const { session } of created) {
    if (!reached.has(session)) faults.push(`I1: ${session} was acknowledged and never written`)
    else if (!reached.get(session)) faults.push(`I1: ${session} never ran and never ended`)
  }
  const back = await sql<{ session: string; was: string; status: string }[]>`
    select c.session, c.was, c.status from chaos_changes c
    where c.op = 'UPDATE' and c.was in ('stopped', 'failed', 'expired') and c.status not in ('stopped', 'failed', 'expired')
      and c.generation = (select max(p.generation) from chaos_changes p where p.session = c.session and p.seq < c.seq)`
  for (const { session, was, status } of back) faults.push(`I5: ${session} went from ${was} to ${status}`)
  for (const { project, held, allowed } of await sql`select * from chaos_quota`)
    faults.push(`I8: ${project} held ${held} of ${allowed}`)
  const [counts] = await sql<{ made: number; told: number; gone: number; told_gone: number }[]>`
    select (select count(*) from chaos_changes where op = 'INSERT')::int as made,
      (select count(*) from audit where action = 'session.create')::int as told,
      (select count(*) from chaos_changes where (op = 'UPDATE' and desired = 'deleted' and was_desired <> 'deleted') or (op = 'DELETE' and was_desired <> 'deleted'))::int as gone,
      (select count(*) from audit where action = 'session.delete')::int as told_gone`
  if (counts!.made !== counts!.told) faults.push(`I11: ${counts!.made} sessions made, ${counts!.told} in the audit`)
  if (counts!.gone !== counts!.told_gone) faults.push(`I11: ${counts!.gone} sessions deleted, ${counts!.told_gone} in the audit`)
  const tables = await sql<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public'`
  for (const { name } of tables) {
    const [dump] = await sql<{ all: string | null }[]>`select string_agg(t::text, E'\n') as all from ${sql(name)} t`
    for (const secret of history.secrets) if (dump!.all?.includes(secret)) faults.push(`I12: the table ${name} holds a secret`)
  }
  return faults
}
