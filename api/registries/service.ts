/** Verbs of registries: logins that builds get. Tried from a cluster, for that is who pushes; the API itself never dials one. */
import { and, desc, eq, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { registries } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { ApiConfig } from '../config.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { newId } from '../ids.ts'
import { enqueueJob } from '../jobs/create.ts'
import { endInWords } from '../jobs/logs/last-words.ts'
import { loginSpec } from '../jobs/specs/build.ts'
import { waitUntilOver } from '../jobs/wait.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { notFound } from '../problem.ts'
import { CannotOpen, sealingOf } from '../sealing.ts'
import type { Registry, RegistryCreate } from './schema.ts'

type Row = typeof registries.$inferSelect
const placeOf = (project: string, host: string) => `registry ${project} ${host}`

const view = (row: Row): Registry => ({
  id: row.id,
  object: 'registry',
  project: row.project_id,
  host: row.host,
  username: row.username,
  insecure: row.insecure,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
})

/** One login per host: giving another replaces it. */
export async function putRegistry(ctx: Ctx, input: RegistryCreate): Promise<{ registry: Registry; created: boolean }> {
  const actor = tokenActor(ctx)
  const { host, username } = input
  const sealed = await sealingOf(ctx.config).seal(input.password, placeOf(actor.project, host))
  const insecure = input.insecure ?? false
  return ctx.db.transaction(async tx => {
    const id = newId('reg')
    const [row] = await tx
      .insert(registries)
      .values({ id, project_id: actor.project, host, username, sealed, insecure, created_by: actor.token })
      .onConflictDoUpdate({
        target: [registries.project_id, registries.host],
        set: { username, sealed, insecure, updated_at: sql`clock_timestamp()` },
      })
      .returning()
    const created = row!.id === id
    const action = created ? 'registry.create' : 'registry.update'
    await recordAudit(tx, ctx, { action, target: row!.id, project: actor.project, detail: { host, username } })
    return { registry: view(row!), created }
  })
}

export async function listRegistries(ctx: Ctx, query: PageQuery) {
  const actor = tokenActor(ctx)
  const rows = await ctx.db
    .select()
    .from(registries)
    .where(and(eq(registries.project_id, actor.project), afterCursor(query.cursor, registries.created_at, registries.id)))
    .orderBy(desc(registries.created_at), desc(registries.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, view)
}

export async function deleteRegistry(ctx: Ctx, id: string): Promise<void> {
  await ctx.db.transaction(async tx => {
    const [row] = await tx.delete(registries).where(mine(ctx, id)).returning()
    if (!row) throw notFound('registry')
    await recordAudit(tx, ctx, { action: 'registry.delete', target: id, project: row.project_id, detail: { host: row.host } })
  })
}

/** A job that logs in from a cluster; answers what is true after at most `seconds`. */
export async function beginTest(ctx: Ctx, id: string): Promise<string> {
  const [row] = await ctx.db.select().from(registries).where(mine(ctx, id))
  if (!row) throw notFound('registry')
  const spec = loginSpec(row.host)
  const words = { type: 'build' as const, name: `login to ${row.host}`, timeout_seconds: 120 }
  return (await enqueueJob(ctx, words, { spec, resources: {}, takes: { cpu_millis: 0, memory_bytes: 0 } })).id
}

export async function testResult(ctx: Ctx, job: string, seconds: number, signal: AbortSignal) {
  const over = await waitUntilOver(ctx, job, seconds, signal)
  const { status } = over
  const ok = status === 'succeeded' ? true : status === 'failed' || status === 'canceled' ? false : null
  const detail = ok ? 'The registry took the login.' : ((await endInWords(ctx.db, over, signal)) ?? `The job is ${status}.`)
  return { object: 'registry_test' as const, ok, detail, job }
}

/** All logins of a project as a build needs them; one that cannot be opened any more is left out. */
export async function openLogins(db: Sql, config: ApiConfig, project: string): Promise<string> {
  const rows = await db.select().from(registries).where(eq(registries.project_id, project))
  const auths: Record<string, { auth: string }> = {}
  for (const row of rows) {
    const password = await openOne(config, row)
    if (password === null) continue
    const bytes = new TextEncoder().encode(`${row.username}:${password}`)
    auths[row.host] = { auth: btoa(String.fromCharCode(...bytes)) }
  }
  return JSON.stringify({ auths, insecure: rows.filter(row => row.insecure).map(row => row.host) })
}

async function openOne(config: ApiConfig, { sealed, project_id, host }: Row): Promise<string | null> {
  try {
    return await sealingOf(config).open(sealed, placeOf(project_id, host))
  } catch (error) {
    if (error instanceof CannotOpen || config.secretsKeys.length === 0) return null
    throw error
  }
}

function mine(ctx: Ctx, id: string) {
  const wall = projectWall(ctx)
  return and(eq(registries.id, id), wall === null ? undefined : eq(registries.project_id, wall))
}
