/**
 * Create, or get: one transaction that finds a living session of the same name, or takes quota, finds a place and writes the row. A second
 * call racing for the same name meets the unique index and answers the first one's session.
 */
import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, type TokenActor, tokenActor } from '../context.ts'
import { isUniqueViolation } from '../database-faults.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { type Claimed, claimWarm, countAsked } from '../pools/claim.ts'
import { invalid, Problem } from '../problem.ts'
import { takeQuota } from '../projects/quotas.ts'
import { findTemplate } from '../templates/service.ts'
import { bindVolume, takeVolume, volumeLetGo } from '../volumes/service.ts'
import { liveStatuses } from './lifecycle.ts'
import { claimCluster, phaseNow, placementRequest } from './place.ts'
import { findSession, sessionForEvent, viewOf } from './read.ts'
import type { Session, SessionCreate } from './schema.ts'
import { type BuiltSpec, buildSpec } from './spec.ts'

export interface Created {
  session: Session
  /** False: it lived already under this name. */
  created: boolean
}

export async function createSession(ctx: Ctx, input: SessionCreate): Promise<Created> {
  const actor = tokenActor(ctx)
  const template = await findTemplate(ctx, input.template)
  if (!template) throw invalid('/template', `No such template: ${JSON.stringify(input.template)}. GET /v1/templates lists them.`)
  const built = buildSpec(template, input, { project: actor.project, user: actor.user })
  if (input.volume) await volumeLetGo(ctx, actor, input.volume)
  const result = await againAfterLostRace(Boolean(input.name), () =>
    ctx.db.transaction(async tx => {
      const living = input.name ? await livingByName(tx, actor.project, actor.user, input.name) : null
      if (living) return { session: viewOf(await findSession(ctx, living, tx), ctx.origin), created: false, warm: null }
      return { ...(await insertSession(tx, ctx, { actor, template: template.id, built, input })), created: true }
    }),
  )
  const { session, created, warm } = result
  if (created)
    await ctx.afterCommit(async () => {
      if (session.cluster) await ctx.tunnel.nudge(session.cluster)
      ctx.defer(countAsked(ctx.db, built.spec, warm))
    })
  return { session, created }
}

interface NewSession {
  actor: TokenActor
  template: string
  built: BuiltSpec
  input: SessionCreate
}

/** Takes quota, volume and place, in the order in which everybody locks, and writes the row with its audit and event. */
async function insertSession(
  tx: Tx,
  ctx: Ctx,
  { actor, template, built, input }: NewSession,
): Promise<{ session: Session; warm: Claimed | null }> {
  const volume = input.volume ? await takeVolume(tx, actor, input.volume) : null
  const spec = volume ? { ...built.spec, volume: volumeSpec(volume) } : built.spec
  const placement = {
    ...(input.cluster ? { cluster: input.cluster } : {}),
    ...(input.selector ? { selector: input.selector } : {}),
    ...(actor.limits?.clusters ? { only: actor.limits.clusters } : {}),
  }
  const who = { user: actor.user, token: actor.token, limits: actor.limits ?? {} }
  // Sent together, locked in this order; without quota the claim is undone with all else.
  const [, warm] = await Promise.all([
    takeQuota(tx, actor.project, { sessions: 1, ...built.takes }, who),
    claimWarm(tx, { project: actor.project, spec, placement }),
  ])
  const placed =
    warm ?? (await claimCluster(tx, actor.project, placementRequest(spec, placement, volume?.cluster_id), { behind: placement }))
  if ('never' in placed) throw new Problem('conflict', placed.never)
  const cluster = 'cluster' in placed ? placed.cluster : null
  if (volume && cluster) await bindVolume(tx, volume.id, cluster)
  const id = warm?.id ?? newId('ses')
  const written = () =>
    tx.insert(sessions).values({
      id,
      project_id: actor.project,
      user_id: actor.user,
      created_by: actor.token,
      name: input.name ?? null,
      template_id: template,
      cluster_id: cluster,
      placement,
      volume_id: volume?.id ?? null,
      spec,
      labels: spec.labels,
      resources: built.resources,
      ...built.takes,
      change_seq: 'seq' in placed ? placed.seq : 0,
      ttl_seconds: built.ttl_seconds,
      idle_timeout_seconds: built.idle_timeout_seconds,
      expires_at: built.ttl_seconds === null ? null : sql`clock_timestamp() + make_interval(secs => ${built.ttl_seconds})`,
      status: cluster ? 'starting' : 'queued',
      status_reason: 'queued' in placed ? placed.queued : null,
      phases: phaseNow(cluster ? 'placed' : 'queued'),
      ...(warm && takenFrom(warm)),
    })
  // Sent together, done in this order: one round trip instead of three.
  const [, , session] = await Promise.all([
    written().execute(),
    recordAudit(tx, ctx, { action: 'session.create', target: id, project: actor.project, detail: { template } }),
    sessionForEvent(tx, id, ctx.origin),
  ])
  if (!session) throw new Error('the session just written cannot be read')
  await emitEvent(tx, { type: 'session.created', project: actor.project, session: id, data: { session } })
  return { session, warm }
}

/** A warm one that is somebody's now. Taking it counts as a touch; its agent has still to apply its late settings. */
function takenFrom({ pool, ready, versions, notes, pod }: Claimed) {
  const running = {
    status: 'running' as const,
    started_at: sql`clock_timestamp()` as never,
    phases: phaseNow('claimed', 'running'),
  }
  return {
    ...(ready ? running : { phases: phaseNow('claimed') }),
    ...{ pool_id: pool, settling: true, touches: 1, observed_generation: 1, versions, notes, pod },
  }
}

function volumeSpec(volume: { id: string; size_bytes: number | null }) {
  return { id: volume.id, ...(volume.size_bytes === null ? {} : { size_bytes: volume.size_bytes }) }
}

async function livingByName(tx: Tx, project: string, user: string, name: string): Promise<string | null> {
  const [row] = await tx
    .select({ id: sessions.id })
    .from(sessions)
    .where(
      and(
        eq(sessions.project_id, project),
        eq(sessions.user_id, user),
        eq(sessions.name, name),
        ne(sessions.desired, 'deleted'),
        inArray(sessions.status, [...liveStatuses]),
      ),
    )
  return row?.id ?? null
}

/** Somebody else wrote a session of this name first, or took the last of the quota for it: look again, and get theirs. */
async function againAfterLostRace<T>(named: boolean, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      const full = named && tries === 0 && error instanceof Problem && error.code === 'quota_exceeded'
      if (!full && (tries >= 3 || !isUniqueViolation(error, 'sessions_live_name'))) throw error
    }
  }
}
