/** Verbs of projects: an admin's, except that everybody may look at the own one. */
import { and, desc, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { clusters, grants, projects, sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { Authenticator } from '../auth.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { randomWord } from '../ids.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { endTokens, projectTokens } from '../tokens/revoke.ts'
import { usageTold, usageWithStreams } from './quotas.ts'
import type { Project, ProjectCreate, ProjectPatch, QuotasInput } from './schema.ts'
import { type ProjectRow, projectView, unlimited, withQuotas } from './view.ts'

export async function createProject(ctx: Ctx, input: ProjectCreate): Promise<Project> {
  const { name, ...given } = input
  return ctx.db.transaction(async tx => {
    // Tokens carry the id without its prefix, so it is short: 12 characters, 62 bits.
    const id = `prj_${randomWord(12)}`
    const [row] = await tx
      .insert(projects)
      .values({ id, name, quotas: withQuotas(unlimited, quotasIn(given)) })
      .returning()
    return told(tx, ctx, row!, 'created', { name })
  })
}

/** Quotas may be given inside `quotas` or beside the name; what is inside is laid over. */
function quotasIn({ quotas, ...beside }: QuotasInput & { quotas?: QuotasInput | undefined }): QuotasInput {
  return { ...beside, ...quotas }
}

export async function listProjects(ctx: Ctx, query: PageQuery) {
  const wall = projectWall(ctx)
  const rows = await ctx.db
    .select()
    .from(projects)
    .where(and(wall === null ? undefined : eq(projects.id, wall), afterCursor(query.cursor, projects.created_at, projects.id)))
    .orderBy(desc(projects.created_at), desc(projects.id))
    .limit(query.limit + 1)
  const usage = await usageWithStreams(
    ctx.db,
    rows.map(row => row.id),
  )
  return page(rows, query.limit, row => projectView(row, usage.get(row.id)!))
}

export async function getProject(ctx: Ctx, id: string): Promise<Project> {
  const wall = projectWall(ctx)
  const [row] = wall !== null && wall !== id ? [] : await ctx.db.select().from(projects).where(eq(projects.id, id))
  if (!row) throw notFound('project')
  return projectView(row, await usageTold(ctx.db, id))
}

async function lockProject(tx: Tx, id: string): Promise<ProjectRow> {
  const [row] = await tx.select().from(projects).where(eq(projects.id, id)).for('update')
  if (!row) throw notFound('project')
  return row
}

export async function patchProject(ctx: Ctx, auth: Authenticator, id: string, input: ProjectPatch): Promise<Project> {
  const { name, suspended, ...given } = input
  if (suspended && id === tokenActor(ctx).project)
    throw new Problem('conflict', 'This would suspend the acting token’s own project.')
  const { project, ended } = await ctx.db.transaction(async tx => {
    const row = await lockProject(tx, id)
    const [next] = await tx
      .update(projects)
      .set({
        name: name ?? row.name,
        quotas: withQuotas(row.quotas, quotasIn(given)),
        ...(suspended === undefined ? {} : { suspended_at: suspended ? (row.suspended_at ?? sql`clock_timestamp()`) : null }),
      })
      .where(eq(projects.id, id))
      .returning()
    const project = await told(tx, ctx, next!, 'updated', { fields: Object.keys(input) })
    return { project, ended: { tokens: await projectTokens(tx, id), streams: suspended ? await openStreams(tx, id) : [] } }
  })
  await ctx.afterCommit(() => endTokens(ctx, auth, ended.tokens, ended.streams))
  return project
}

async function openStreams(tx: Tx, project: string): Promise<string[]> {
  const open = await tx
    .select({ id: grants.id })
    .from(grants)
    .where(and(eq(grants.project_id, project), isNull(grants.closed_at)))
  return open.map(grant => grant.id)
}

/** Takes everything with it. Agents find their sessions gone from what should exist, and remove them. */
export async function deleteProject(ctx: Ctx, auth: Authenticator, id: string, force: boolean): Promise<void> {
  if (id === tokenActor(ctx).project) throw new Problem('conflict', 'The acting token’s own project cannot be deleted.')
  const gone = await ctx.db.transaction(async tx => {
    const row = await lockProject(tx, id)
    const usage = await usageTold(tx, id)
    if (usage.sessions > 0 && !force) {
      throw new Problem('conflict', `${usage.sessions} of its sessions still live: end them first, or add ?force=true.`)
    }
    const told = {
      tokens: await projectTokens(tx, id),
      streams: await openStreams(tx, id),
      clusters: await tx.selectDistinct({ id: sessions.cluster_id }).from(sessions).where(eq(sessions.project_id, id)),
    }
    await bumpClusters(tx, told.clusters)
    await tx.delete(projects).where(eq(projects.id, id))
    await recordAudit(tx, ctx, {
      action: 'project.delete',
      target: id,
      project: id,
      detail: { name: row.name, sessions: usage.sessions },
    })
    await emitEvent(tx, { type: 'project.deleted', project: null, data: { project: projectView(row, usage) } })
    return told
  })
  await ctx.afterCommit(async () => {
    await endTokens(ctx, auth, gone.tokens, gone.streams)
    for (const { id: cluster } of gone.clusters) if (cluster) await ctx.tunnel.nudge(cluster)
  })
}

/** A new number, so that agents are brought up to date although no session row is left to carry it. */
async function bumpClusters(tx: Tx, found: { id: string | null }[]): Promise<void> {
  const ids = found.flatMap(({ id }) => (id === null ? [] : [id]))
  if (ids.length === 0) return
  await tx
    .update(clusters)
    .set({ seq: sql`${clusters.seq} + 1` })
    .where(inArray(clusters.id, ids))
}

async function told(
  tx: Tx,
  ctx: Ctx,
  row: ProjectRow,
  what: 'created' | 'updated',
  detail: Record<string, unknown>,
): Promise<Project> {
  const project = projectView(row, await usageTold(tx, row.id))
  await recordAudit(tx, ctx, { action: `project.${what.slice(0, -1)}`, target: row.id, project: row.id, detail })
  await emitEvent(tx, { type: `project.${what}`, project: row.id, data: { project } })
  return project
}
