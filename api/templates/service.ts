/**
 * Verbs of the catalogue. Templates without a project are everybody's and an admin's to change; a project may have its own, which come
 * first when an id is both.
 */
import { and, desc, eq, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { projects, templates } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { isUniqueViolation } from '../database-faults.ts'
import { emitEvent } from '../events/emit.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import type { Template, TemplateCreate, TemplateReplace } from './schema.ts'
import { type TemplateRow, templateView } from './view.ts'

/** The acting project's own and everybody's; for an admin also every project's. */
function visible(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return wall === null ? undefined : or(isNull(templates.project_id), eq(templates.project_id, wall))
}

/** Own project first, then everybody's, then (admins) anyone's. */
function nearest(ctx: Ctx): SQL {
  const { project } = tokenActor(ctx)
  return sql`case when ${templates.project_id} = ${project} then 0 when ${templates.project_id} is null then 1 else 2 end, ${templates.project_id}`
}

/** What session create uses: the project's own templates or everybody's, never another project's, whoever asks. The later of one id counts. */
export const templatesOf = (project: SQL, ids: SQL) => sql`
  select id, body from templates where id = any(${ids}) and (project_id is null or project_id = ${project})
  order by project_id nulls first`

/** The body of the one that counts. */
export const templateBody = (project: SQL, id: SQL) => sql`(select body from templates where id = ${id}
  and (project_id is null or project_id = ${project}) order by project_id nulls last limit 1)`

export async function listTemplates(ctx: Ctx, query: PageQuery & { category?: string | undefined; kind?: string | undefined }) {
  const rows = await ctx.db
    .select()
    .from(templates)
    .where(
      and(
        visible(ctx),
        query.category ? sql`${templates.body} ->> 'category' = ${query.category}` : undefined,
        query.kind ? sql`${templates.body} ->> 'kind' = ${query.kind}` : undefined,
        afterCursor(query.cursor, templates.created_at, templates.id),
      ),
    )
    .orderBy(desc(templates.created_at), desc(templates.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, templateView)
}

async function findVisible(ctx: Ctx, db: Sql, id: string): Promise<TemplateRow> {
  const [row] = await db
    .select()
    .from(templates)
    .where(and(eq(templates.id, id), visible(ctx)))
    .orderBy(nearest(ctx))
    .limit(1)
  if (!row) throw notFound('template')
  return row
}

export async function getTemplate(ctx: Ctx, id: string): Promise<Template> {
  return templateView(await findVisible(ctx, ctx.db, id))
}

export async function createTemplate(ctx: Ctx, input: TemplateCreate): Promise<Template> {
  const { id, name = id, description, project: wanted, ...body } = input
  const wall = projectWall(ctx)
  if (wanted && wall !== null && wanted !== wall)
    throw new Problem('forbidden', 'Only an admin makes templates for another project.')
  const project = wall ?? wanted ?? null
  try {
    return await ctx.db.transaction(async tx => {
      if (project !== null) {
        const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, project))
        if (!known) throw invalid('/project', 'There is no such project.')
      }
      const [row] = await tx.insert(templates).values({ id, project_id: project, name, description, body }).returning()
      await told(tx, ctx, row!, 'create')
      return templateView(row!)
    })
  } catch (error) {
    if (isUniqueViolation(error, 'templates_id'))
      throw new Problem('conflict', `There is a template ${JSON.stringify(id)} already.`)
    throw error
  }
}

/** Everybody's templates are seen by all, so a project that may not change one is told so. */
async function lockForChange(ctx: Ctx, tx: Sql, id: string): Promise<TemplateRow> {
  const row = await findVisible(ctx, tx, id)
  if (row.project_id === null && projectWall(ctx) !== null) {
    throw new Problem('forbidden', 'This template is everybody’s: only an admin may change it.')
  }
  const [locked] = await tx.select().from(templates).where(sameRow(row)).for('update')
  if (!locked) throw notFound('template')
  return locked
}

function sameRow(row: TemplateRow): SQL | undefined {
  return and(
    eq(templates.id, row.id),
    row.project_id === null ? isNull(templates.project_id) : eq(templates.project_id, row.project_id),
  )
}

export async function replaceTemplate(ctx: Ctx, id: string, input: TemplateReplace): Promise<Template> {
  if (input.id !== undefined && input.id !== id) throw invalid('/id', 'An id cannot be changed.')
  const { id: _, object, builtin, created_at, updated_at, project, name = id, description, ...body } = input
  return ctx.db.transaction(async tx => {
    const row = await lockForChange(ctx, tx, id)
    const [next] = await tx
      .update(templates)
      .set({ name, description, body, updated_at: sql`clock_timestamp()` })
      .where(sameRow(row))
      .returning()
    await told(tx, ctx, next!, 'update')
    return templateView(next!)
  })
}

/** Sessions keep what they took from it. */
export async function deleteTemplate(ctx: Ctx, id: string): Promise<void> {
  await ctx.db.transaction(async tx => {
    const row = await lockForChange(ctx, tx, id)
    await tx.delete(templates).where(sameRow(row))
    await told(tx, ctx, row, 'delete')
  })
}

async function told(tx: Sql, ctx: Ctx, row: TemplateRow, verb: 'create' | 'update' | 'delete'): Promise<void> {
  await recordAudit(tx, ctx, { action: `template.${verb}`, target: row.id, project: row.project_id })
  await emitEvent(tx, { type: `template.${verb}d`, project: row.project_id, data: { template: templateView(row) } })
}
