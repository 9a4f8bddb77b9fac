/**
 * Create, or get: one transaction that finds a living session of the same name, or takes quota, finds a place and writes the row. A second
 * call racing for the same name meets the unique index and answers the first one's session.
 */
import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { invalid, Problem } from '../problem.ts'
import { takeQuota } from '../projects/quotas.ts'
import { findTemplate } from '../templates/service.ts'
import { liveStatuses } from './lifecycle.ts'
import { claimCluster, placementRequest } from './place.ts'
import { findSession, sessionForEvent, viewOf } from './read.ts'
import type { Session, SessionCreate } from './schema.ts'
import { buildSpec } from './spec.ts'

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
  const wish = { ...(input.cluster ? { cluster: input.cluster } : {}), ...(input.selector ? { selector: input.selector } : {}) }
  const request = placementRequest(built.spec, wish)

  for (let attempt = 0; ; attempt++) {
    try {
      return await ctx.db
        .transaction(async tx => {
          const living = input.name ? await livingByName(tx, actor.project, actor.user, input.name) : null
          if (living) return { session: viewOf(await findSession(ctx, living, tx), ctx.origin), created: false }
          await takeQuota(tx, actor.project, { sessions: 1, ...built.takes })
          const placed = await claimCluster(tx, actor.project, request)
          if ('never' in placed) throw new Problem('conflict', placed.never)
          const id = newId('ses')
          const queued = 'queued' in placed
          await tx.insert(sessions).values({
            id,
            project_id: actor.project,
            user_id: actor.user,
            created_by: actor.token,
            name: input.name ?? null,
            template_id: template.id,
            cluster_id: queued ? null : placed.cluster,
            placement: wish,
            spec: built.spec,
            labels: built.spec.labels,
            resources: built.resources,
            ...built.takes,
            change_seq: queued ? 0 : placed.seq,
            ttl_seconds: built.ttl_seconds,
            idle_timeout_seconds: built.idle_timeout_seconds,
            expires_at: built.ttl_seconds === null ? null : sql`clock_timestamp() + make_interval(secs => ${built.ttl_seconds})`,
            status: queued ? 'queued' : 'starting',
            status_reason: queued ? placed.queued : null,
            phases: sql`jsonb_build_array(jsonb_build_object('phase', ${queued ? 'queued' : 'placed'}::text,
            'at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))`,
          })
          await recordAudit(tx, ctx, {
            action: 'session.create',
            target: id,
            project: actor.project,
            detail: { template: template.id },
          })
          const session = await sessionForEvent(tx, id, ctx.origin)
          if (!session) throw new Error('the session just written cannot be read')
          await emitEvent(tx, { type: 'session.created', project: actor.project, session: id, data: { session } })
          return { session, created: true }
        })
        .then(async result => {
          const { session } = result
          if (result.created && session.cluster) await ctx.afterCommit(() => ctx.tunnel.nudge(session.cluster!))
          return result
        })
    } catch (error) {
      if (attempt < 3 && lostNameRace(error)) continue
      throw error
    }
  }
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

function lostNameRace(error: unknown): boolean {
  const of = (e: unknown) => (e as { code?: string; constraint_name?: string } | null) ?? {}
  const inner = of((error as { cause?: unknown })?.cause)
  const pg = of(error).code === '23505' ? of(error) : inner
  return pg.code === '23505' && pg.constraint_name === 'sessions_live_name'
}
