/** Verbs of volumes. A volume is bound to the cluster of its first session; at most one living session writes to it (a unique index says so). */
import { and, desc, eq, or, type SQL, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { clusters, sessions, volumes } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { isUniqueViolation } from '../database-faults.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { afterCursor, page } from '../paging.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { takeQuota } from '../projects/quotas.ts'
import { takeSeq } from '../sessions/desired.ts'
import { candidates } from '../sessions/place.ts'
import { bytesQuantity, storageBytes } from '../templates/quantity.ts'
import { untilLetGo } from './let-go.ts'
import type { Volume, VolumeCreate, VolumeFilters } from './schema.ts'

type VolumeRow = typeof volumes.$inferSelect

const writer = sql<string | null>`(select s.id from ${sessions} s where s.volume_id = ${volumes}.id
  and s.status in ('queued','starting','running','stopping') limit 1)`

function volumeView(row: VolumeRow, session: string | null): Volume {
  return {
    id: row.id,
    object: 'volume',
    name: row.name,
    project: row.project_id,
    user: row.user_id,
    cluster: row.cluster_id,
    size: row.size_bytes === null ? null : bytesQuantity(row.size_bytes),
    session,
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
  }
}

function visible(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return and(eq(volumes.desired, 'present'), wall === null ? undefined : eq(volumes.project_id, wall))
}

async function find(ctx: Ctx, id: string, db: Sql = ctx.db) {
  const [found] = await db
    .select({ row: volumes, session: writer })
    .from(volumes)
    .where(and(eq(volumes.id, id), visible(ctx)))
    .limit(1)
  if (!found) throw notFound('volume')
  return found
}

export async function getVolume(ctx: Ctx, id: string): Promise<Volume> {
  const { row, session } = await find(ctx, id)
  return volumeView(row, session)
}

export async function listVolumes(ctx: Ctx, query: VolumeFilters) {
  const rows = await ctx.db
    .select({ row: volumes, session: writer })
    .from(volumes)
    .where(
      and(
        visible(ctx),
        query.name ? eq(volumes.name, query.name) : undefined,
        query.user ? eq(volumes.user_id, query.user) : undefined,
        query.cluster ? eq(volumes.cluster_id, query.cluster) : undefined,
        afterCursor(query.cursor, volumes.created_at, volumes.id),
      ),
    )
    .orderBy(desc(volumes.created_at), desc(volumes.id))
    .limit(query.limit + 1)
  const flat = rows.map(found => ({ ...found, created_at: found.row.created_at, id: found.row.id }))
  return page(flat, query.limit, ({ row, session }) => volumeView(row, session))
}

/** Get-or-create by name within project and user. */
export async function createVolume(ctx: Ctx, input: VolumeCreate): Promise<{ volume: Volume; created: boolean }> {
  const actor = tokenActor(ctx)
  const cluster = input.cluster ? await clusterFor(ctx, actor.project, input.cluster) : null
  const size = input.size ? storageBytes(input.size) : null
  const known = async (db: Sql) => {
    if (input.name === undefined) return null
    const [found] = await db
      .select({ row: volumes, session: writer })
      .from(volumes)
      .where(
        and(
          eq(volumes.project_id, actor.project),
          eq(volumes.user_id, actor.user),
          eq(volumes.name, input.name),
          eq(volumes.desired, 'present'),
        ),
      )
    return found ? { volume: volumeView(found.row, found.session), created: false } : null
  }
  for (let attempt = 0; ; attempt++) {
    try {
      return await ctx.db.transaction(async tx => {
        const found = await known(tx)
        if (found) return found
        if (size !== null) await takeQuota(tx, actor.project, { storage_bytes: size })
        const id = newId('vol')
        const [row] = await tx
          .insert(volumes)
          .values({
            id,
            project_id: actor.project,
            user_id: actor.user,
            name: input.name ?? id,
            cluster_id: cluster,
            size_bytes: size,
          })
          .returning()
        await recordAudit(tx, ctx, { action: 'volume.create', target: row!.id, project: actor.project })
        const volume = volumeView(row!, null)
        await emitEvent(tx, { type: 'volume.created', project: actor.project, data: { volume } })
        return { volume, created: true }
      })
    } catch (error) {
      // Somebody else made it first, or took the last of the quota for it: look again, and get theirs.
      const full = attempt === 0 && error instanceof Problem && error.code === 'quota_exceeded'
      if (full || (attempt < 3 && isUniqueViolation(error, 'volumes_name'))) continue
      throw error
    }
  }
}

async function clusterFor(ctx: Ctx, project: string, wish: string): Promise<string> {
  const [row] = await ctx.db
    .select({ id: clusters.id })
    .from(clusters)
    .where(
      and(
        or(eq(clusters.id, wish), eq(clusters.name, wish)),
        or(sql`${clusters.project_id} is null`, eq(clusters.project_id, project)),
      ),
    )
  if (!row) throw invalid('/cluster', `There is no cluster ${JSON.stringify(wish)}.`)
  return row.id
}

/** Removes its files for good. Refused while a living session writes to it. */
export async function deleteVolume(ctx: Ctx, id: string): Promise<void> {
  await untilLetGo(ctx, and(eq(volumes.id, id), visible(ctx)))
  const cluster = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .select()
      .from(volumes)
      .where(and(eq(volumes.id, id), visible(ctx)))
      .for('update')
    if (!row) throw notFound('volume')
    const { session } = await find(ctx, id, tx)
    if (session) throw new Problem('conflict', `The session ${session} uses this volume: end it first.`)
    await recordAudit(tx, ctx, { action: 'volume.delete', target: id, project: row.project_id })
    await emitEvent(tx, { type: 'volume.deleted', project: row.project_id, data: { volume: volumeView(row, null) } })
    await tx.update(sessions).set({ volume_id: null }).where(eq(sessions.volume_id, id))
    if (row.cluster_id === null) await tx.delete(volumes).where(eq(volumes.id, id))
    else
      await tx
        .update(volumes)
        .set({ desired: 'deleted', change_seq: await takeSeq(tx, row.cluster_id) })
        .where(eq(volumes.id, id))
    return row.cluster_id
  })
  if (cluster) await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))
}

type Owner = { project: string; user: string }

/** The caller's volume by id, or by its name for this user. */
function wished(actor: Owner, wish: string): SQL | undefined {
  return and(
    eq(volumes.project_id, actor.project),
    eq(volumes.desired, 'present'),
    or(eq(volumes.id, wish), and(eq(volumes.name, wish), eq(volumes.user_id, actor.user))),
  )
}

/** Before session create: who used it last may be ending still. */
export const volumeLetGo = (ctx: Ctx, actor: Owner, wish: string) => untilLetGo(ctx, wished(actor, wish))

/** For session create: locked until the session is written. */
export async function takeVolume(tx: Tx, actor: Owner, wish: string): Promise<VolumeRow> {
  const [row] = await tx.select().from(volumes).where(wished(actor, wish)).limit(1).for('update')
  if (row) await refuseSecondWriter(tx, row.id)
  if (!row) throw invalid('/volume', `There is no volume ${JSON.stringify(wish)}: POST /v1/volumes makes one.`)
  return row
}

async function refuseSecondWriter(tx: Tx, volume: string): Promise<void> {
  const [other] = await tx.select({ session: writer }).from(volumes).where(eq(volumes.id, volume))
  if (other?.session)
    throw new Problem('conflict', `The session ${other.session} writes to this volume: end it first, or use another volume.`)
}

/** The volume now lives where the session does. */
export async function bindVolume(tx: Tx, volume: string, cluster: string): Promise<void> {
  await tx
    .update(volumes)
    .set({ cluster_id: sql`coalesce(${volumes.cluster_id}, ${cluster})`, last_used_at: sql`clock_timestamp()` })
    .where(eq(volumes.id, volume))
}

/** Where an archive stream goes: a volume that some cluster has and nobody writes to. What is sent to a new one is its beginning. */
export async function volumeForArchive(
  ctx: Ctx,
  id: string,
  method: 'GET' | 'PUT',
): Promise<{ row: VolumeRow; cluster: string }> {
  await untilLetGo(ctx, and(eq(volumes.id, id), visible(ctx)))
  const { row, session } = await find(ctx, id)
  const cluster = row.cluster_id ?? (method === 'PUT' ? await onlyCluster(ctx, row) : null)
  if (!cluster)
    throw new Problem(
      'conflict',
      'No session has used this volume yet: it has no cluster. Make it with one, or start a session with it.',
    )
  if (session) throw new Problem('conflict', `The session ${session} writes to this volume: stop it first.`)
  return { row, cluster }
}

/** The one cluster that could keep it, now its own; null: there are several, and it is not ours to choose, or none. */
async function onlyCluster(ctx: Ctx, { id, project_id }: VolumeRow): Promise<string | null> {
  return ctx.db.transaction(async tx => {
    const able = (await candidates(tx, project_id)).filter(each => each.capabilities?.features.includes('volumes'))
    if (able.length !== 1) return null
    await bindVolume(tx, id, able[0]!.id)
    const [now] = await tx.select({ cluster: volumes.cluster_id }).from(volumes).where(eq(volumes.id, id))
    return now?.cluster ?? null
  })
}
