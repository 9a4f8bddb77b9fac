/**
 * What was sent to be built. It lies in the database in pieces, because a build may wait for its turn, be tried again, and run on any cluster: so
 * it is whole before the job is made, and the API never holds more than a piece of it. A day after its last use it is gone.
 */
import { and, desc, eq, gt, isNotNull, or, type SQL, sql } from 'drizzle-orm'
import type { Db, Sql, Tx } from '#db/client.ts'
import { projects, upload_chunks, uploads } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { newId } from '../ids.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { inPieces } from './pieces.ts'
import type { Upload } from './schema.ts'

/** Of one project together, as a multiple of the largest one. */
export const keptContexts = 4
const keptSeconds = 24 * 3600
/** One that comes slower than this is given up. */
const comingSeconds = 3600
const kept = sql`clock_timestamp() + make_interval(secs => ${keptSeconds})`

type Row = typeof uploads.$inferSelect

function uploadView(row: Row): Upload {
  return {
    id: row.id,
    object: 'upload',
    name: row.name,
    project: row.project_id,
    user: row.user_id,
    bytes: row.bytes,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
  }
}

/** Takes it in; what had this name before is let go. Nothing is left of one that did not come whole. */
export async function receiveUpload(ctx: Ctx, name: string, request: Request): Promise<{ upload: Upload; replaced: boolean }> {
  const { maxContext } = ctx.config
  const declared = request.headers.get('content-length')
  if (Number(declared ?? 0) > maxContext) throw tooLarge(maxContext)
  const id = await reserve(ctx, declared === null ? maxContext : Number(declared))
  try {
    let bytes = 0
    let seq = 0
    for await (const data of inPieces(request.body)) {
      bytes += data.length
      if (bytes > maxContext) throw tooLarge(maxContext)
      if (seq === 0 && !isGzip(data)) throw notGzip()
      await ctx.db.insert(upload_chunks).values({ upload_id: id, seq: seq++, data })
    }
    if (seq === 0) throw notGzip()
    return await finish(ctx, id, name, bytes)
  } catch (error) {
    await ctx.db.delete(uploads).where(eq(uploads.id, id))
    throw error
  }
}

const tooLarge = (most: number) => new Problem('too_large', `What is built from has ${most} bytes at most.`)
const notGzip = () => new Problem('unsupported_media_type', 'This is not a tar.gz.')
const isGzip = (data: Uint8Array) => data[0] === 0x1f && data[1] === 0x8b

/** A row that holds room for what comes, so that many at once do not take more than there is. */
async function reserve(ctx: Ctx, bytes: number): Promise<string> {
  const actor = tokenActor(ctx)
  return ctx.db.transaction(async tx => {
    await lockProject(tx, actor.project)
    const [held] = await tx
      .select({ bytes: sql`coalesce(sum(${uploads.bytes}), 0)`.mapWith(Number) })
      .from(uploads)
      .where(eq(uploads.project_id, actor.project))
    const most = ctx.config.maxContext * keptContexts
    if (held!.bytes + bytes > most)
      throw new Problem('quota_exceeded', `Uploads of this project hold ${held!.bytes} of ${most} bytes: delete some first.`)
    const id = newId('upl')
    await tx.insert(uploads).values({
      id,
      project_id: actor.project,
      user_id: actor.user,
      created_by: actor.token,
      bytes,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${comingSeconds})`,
    })
    return id
  })
}

async function finish(ctx: Ctx, id: string, name: string, bytes: number): Promise<{ upload: Upload; replaced: boolean }> {
  const { project } = tokenActor(ctx)
  return ctx.db.transaction(async tx => {
    await lockProject(tx, project)
    const former = await letGo(tx, and(eq(uploads.project_id, project), eq(uploads.name, name))!)
    const [row] = await tx
      .update(uploads)
      .set({ name, bytes, complete: true, expires_at: kept })
      .where(eq(uploads.id, id))
      .returning()
    if (!row) throw new Problem('conflict', 'It came too slowly and was given up.')
    await recordAudit(tx, ctx, { action: 'upload.put', target: id, project, detail: { name, bytes } })
    return { upload: uploadView(row), replaced: former.length > 0 }
  })
}

async function lockProject(tx: Tx, project: string): Promise<void> {
  const [row] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, project)).for('update')
  if (!row) throw notFound('project')
}

/** Nobody can name them any more; they go as soon as no job needs them. */
async function letGo(tx: Tx, which: SQL): Promise<{ id: string }[]> {
  const gone = await tx
    .update(uploads)
    .set({ name: null, expires_at: sql`clock_timestamp()` })
    .where(which)
    .returning({ id: uploads.id })
  for (const { id } of gone) await sweepUploads(tx, eq(uploads.id, id))
  return gone
}

/** Removes what is over its time and no job will ask for. */
export async function sweepUploads(db: Sql | Db, which?: SQL): Promise<void> {
  const needed = sql`exists (select from jobs j where j.upload_id = ${uploads}.id and j.status in ('queued', 'running'))`
  await db.delete(uploads).where(and(which, sql`${uploads.expires_at} <= clock_timestamp()`, sql`not ${needed}`))
}

/** By id or name, for a job: it is kept for a day from now on. The sweep, which waits for this row, looks at that again. */
export async function keepUpload(tx: Tx, project: string, wish: string): Promise<{ id: string; bytes: number } | null> {
  const [row] = await tx
    .update(uploads)
    .set({ expires_at: kept })
    .where(
      and(
        eq(uploads.project_id, project),
        eq(uploads.complete, true),
        or(eq(uploads.name, wish), eq(uploads.id, wish)),
        or(isNotNull(uploads.name), gt(uploads.expires_at, sql`clock_timestamp()`)),
      ),
    )
    .returning({ id: uploads.id, bytes: uploads.bytes })
  return row ?? null
}

function visible(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return and(eq(uploads.complete, true), isNotNull(uploads.name), wall === null ? undefined : eq(uploads.project_id, wall))
}

const named = (wish: string) => or(eq(uploads.id, wish), eq(uploads.name, wish))

export async function getUpload(ctx: Ctx, wish: string): Promise<Upload> {
  const [row] = await ctx.db
    .select()
    .from(uploads)
    .where(and(visible(ctx), named(wish)))
    .limit(1)
  if (!row) throw notFound('upload')
  return uploadView(row)
}

export async function listUploads(ctx: Ctx, query: PageQuery) {
  const rows = await ctx.db
    .select()
    .from(uploads)
    .where(and(visible(ctx), afterCursor(query.cursor, uploads.created_at, uploads.id)))
    .orderBy(desc(uploads.created_at), desc(uploads.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, uploadView)
}

export async function deleteUpload(ctx: Ctx, wish: string): Promise<void> {
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .select()
      .from(uploads)
      .where(and(visible(ctx), named(wish)))
      .limit(1)
    if (!row) throw notFound('upload')
    await letGo(tx, eq(uploads.id, row.id))
    await recordAudit(tx, ctx, { action: 'upload.delete', target: row.id, project: row.project_id })
  })
}

/** For the agent: the bytes of one, a piece at a time. */
export async function* uploadBytes(db: Sql, id: string): AsyncGenerator<Uint8Array> {
  for (let seq = 0; ; seq++) {
    const [piece] = await db
      .select({ data: upload_chunks.data })
      .from(upload_chunks)
      .where(and(eq(upload_chunks.upload_id, id), eq(upload_chunks.seq, seq)))
    if (!piece) return
    yield piece.data
  }
}
