/** Secrets: written by name, read by jobs, never answered. */
import { and, desc, eq, inArray, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { secrets } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { ApiConfig } from '../config.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { newId } from '../ids.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { sealingOf } from '../sealing.ts'
import type { Secret, SecretCreate } from './schema.ts'

const mostPerProject = 500
export const placeOfSecret = (project: string, name: string) => `secret ${project} ${name}`

type Row = typeof secrets.$inferSelect

function secretView(row: Row): Secret {
  return {
    id: row.id,
    object: 'secret',
    name: row.name,
    project: row.project_id,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

/** Makes it, or puts a new value in its place; jobs that were given the old one keep it. */
export async function putSecret(ctx: Ctx, input: SecretCreate): Promise<{ secret: Secret; created: boolean }> {
  const actor = tokenActor(ctx)
  const sealed = await sealingOf(ctx.config).seal(input.value, placeOfSecret(actor.project, input.name))
  return ctx.db.transaction(async tx => {
    const [count] = await tx
      .select({ n: sql`count(*)`.mapWith(Number) })
      .from(secrets)
      .where(eq(secrets.project_id, actor.project))
    const id = newId('sec')
    const [row] = await tx
      .insert(secrets)
      .values({ id, project_id: actor.project, name: input.name, sealed, created_by: actor.token })
      .onConflictDoUpdate({
        target: [secrets.project_id, secrets.name],
        set: { sealed, updated_at: sql`clock_timestamp()` },
      })
      .returning()
    const created = row!.id === id
    if (created && count!.n >= mostPerProject)
      throw new Problem('quota_exceeded', `A project keeps ${mostPerProject} secrets at most.`)
    await recordAudit(tx, ctx, {
      action: created ? 'secret.create' : 'secret.update',
      target: row!.id,
      project: actor.project,
      detail: { name: input.name },
    })
    return { secret: secretView(row!), created }
  })
}

export async function listSecrets(ctx: Ctx, query: PageQuery) {
  const actor = tokenActor(ctx)
  const rows = await ctx.db
    .select()
    .from(secrets)
    .where(and(eq(secrets.project_id, actor.project), afterCursor(query.cursor, secrets.created_at, secrets.id)))
    .orderBy(desc(secrets.created_at), desc(secrets.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, secretView)
}

/** By id or by name. */
export async function deleteSecret(ctx: Ctx, which: string): Promise<void> {
  const actor = tokenActor(ctx)
  const wall = projectWall(ctx)
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .delete(secrets)
      .where(
        sql`(${secrets.id} = ${which} and (${wall}::text is null or ${secrets.project_id} = ${wall}))
          or (${secrets.name} = ${which} and ${secrets.project_id} = ${actor.project})`,
      )
      .returning()
    if (!row) throw notFound('secret')
    await recordAudit(tx, ctx, { action: 'secret.delete', target: row.id, project: row.project_id, detail: { name: row.name } })
  })
}

/** 422 when the project has no secret of one of these names. `pointers`: name -> where it was asked for. */
export async function requireSecrets(db: Sql, project: string, pointers: ReadonlyMap<string, string>): Promise<void> {
  if (pointers.size === 0) return
  const rows = await db
    .select({ name: secrets.name })
    .from(secrets)
    .where(and(eq(secrets.project_id, project), inArray(secrets.name, [...pointers.keys()])))
  const known = new Set(rows.map(row => row.name))
  for (const [name, pointer] of pointers)
    if (!known.has(name)) throw invalid(pointer, `There is no secret ${JSON.stringify(name)}. POST it to /v1/secrets first.`)
}

/** Values by name; a secret that is gone or cannot be opened is missing from the answer. */
export async function openSecrets(db: Sql, config: ApiConfig, project: string, names: string[]): Promise<Record<string, string>> {
  if (names.length === 0) return {}
  const rows = await db
    .select({ name: secrets.name, sealed: secrets.sealed })
    .from(secrets)
    .where(and(eq(secrets.project_id, project), inArray(secrets.name, names)))
  const values: Record<string, string> = {}
  for (const { name, sealed } of rows) {
    const value = await openOne(config, sealed, placeOfSecret(project, name))
    if (value !== null) values[name] = value
  }
  return values
}

async function openOne(config: ApiConfig, sealed: string, place: string): Promise<string | null> {
  try {
    return await sealingOf(config).open(sealed, place)
  } catch {
    return null
  }
}
