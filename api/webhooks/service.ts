/**
 * Verbs of webhooks. What comes is believed only with the hook's secret, done once (by the sender's number and by the body, for the number is not
 * signed), and done as the token that made the hook: when that is revoked, the hook does nothing.
 */
import { and, desc, eq, isNull, or, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { deliveries, jobs, projects, tokens, webhooks } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { tokenLives } from '../auth.ts'
import { type Ctx, holds, projectWall, runAtOnce, type Scope, tokenActor } from '../context.ts'
import { newId, randomWord } from '../ids.ts'
import { createJob } from '../jobs/create.ts'
import { JobCreate } from '../jobs/schema.ts'
import { buildJob } from '../jobs/spec.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import type { PeriodicEnv } from '../periodic-work.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { sealingOf } from '../sealing.ts'
import { branchFits, deliveryOf, isSigned, readPush } from './push.ts'
import type { WebhookCreate, WebhookPatch } from './schema.ts'

type Row = typeof webhooks.$inferSelect
const placeOf = (id: string) => `webhook ${id}`

const view = (row: Row, origin: string) => ({
  id: row.id,
  object: 'webhook' as const,
  name: row.name,
  project: row.project_id,
  provider: row.provider,
  branches: row.branches,
  enabled: row.enabled,
  build: row.build,
  deploy: row.deploy,
  url: `${origin}/v1/hooks/${row.id}`,
  created_at: row.created_at.toISOString(),
  last_delivery_at: row.last_delivery_at?.toISOString() ?? null,
})

export async function createWebhook(ctx: Ctx, input: WebhookCreate) {
  const actor = tokenActor(ctx)
  if (input.deploy && !holds(actor, 'manifests')) throw new Problem('forbidden', 'A hook that deploys needs the scope manifests.')
  if (input.build.git.ref) throw invalid('/build/git/ref', 'Is the commit that was pushed.')
  // What could never become a job is told now, not at the first push.
  buildJob({ type: 'build', ...input.build })
  if (input.deploy) JobCreate.parse(deployOf(input.deploy, 'registry.example.com/a:1'))
  const id = newId('hok')
  const secret = input.secret ?? randomWord(40)
  const sealed = await sealingOf(ctx.config).seal(secret, placeOf(id))
  const row = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .insert(webhooks)
      .values({
        id,
        project_id: actor.project,
        token_id: actor.token,
        user_id: actor.user,
        name: input.name ?? null,
        provider: input.provider,
        sealed,
        branches: input.branches,
        build: input.build,
        deploy: input.deploy ?? null,
      })
      .returning()
    await recordAudit(tx, ctx, {
      action: 'webhook.create',
      target: id,
      project: actor.project,
      detail: { provider: input.provider },
    })
    return row!
  })
  return { ...view(row, ctx.origin), secret }
}

export async function listWebhooks(ctx: Ctx, query: PageQuery) {
  const actor = tokenActor(ctx)
  const rows = await ctx.db
    .select()
    .from(webhooks)
    .where(and(eq(webhooks.project_id, actor.project), afterCursor(query.cursor, webhooks.created_at, webhooks.id)))
    .orderBy(desc(webhooks.created_at), desc(webhooks.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, row => view(row, ctx.origin))
}

export async function patchWebhook(ctx: Ctx, id: string, input: WebhookPatch) {
  const wall = projectWall(ctx)
  const here = and(eq(webhooks.id, id), wall === null ? undefined : eq(webhooks.project_id, wall))
  const row = await ctx.db.transaction(async tx => {
    const [found] = await tx.select().from(webhooks).where(here).for('update')
    if (!found) throw notFound('webhook')
    const { name = found.name, branches = found.branches, enabled = found.enabled } = input
    const [row] = await tx.update(webhooks).set({ name, branches, enabled }).where(eq(webhooks.id, id)).returning()
    await recordAudit(tx, ctx, { action: 'webhook.update', target: id, project: found.project_id, detail: { ...input } })
    return row!
  })
  return view(row, ctx.origin)
}

export async function deleteWebhook(ctx: Ctx, id: string): Promise<void> {
  const wall = projectWall(ctx)
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .delete(webhooks)
      .where(and(eq(webhooks.id, id), wall === null ? undefined : eq(webhooks.project_id, wall)))
      .returning()
    if (!row) throw notFound('webhook')
    await recordAudit(tx, ctx, { action: 'webhook.delete', target: id, project: row.project_id })
  })
}

interface Answer {
  object: 'delivery'
  action: 'build' | 'ignored' | 'repeated'
  detail: string
  job: string | null
}
const answer = (action: Answer['action'], detail: string, job: string | null = null): Answer => ({
  object: 'delivery',
  action,
  detail,
  job,
})

/** One answer for an unknown hook and for a wrong signature. */
const refused = () => new Problem('unauthorized', 'Unknown hook, or not signed with its secret.')

export async function receive(ctx: Ctx, id: string, headers: Headers, body: Uint8Array<ArrayBuffer>): Promise<Answer> {
  const [row] = await ctx.db.select().from(webhooks).where(eq(webhooks.id, id))
  const secret = row ? await sealingOf(ctx.config).open(row.sealed, placeOf(id)) : randomWord(40)
  const signed = await isSigned(row?.provider ?? 'github', secret, headers, body)
  if (!row || !signed) throw refused()
  const hash = await ctx.sha256(body)
  const delivery = deliveryOf(row.provider, headers, hash)
  if (!row.enabled) return answer('ignored', 'This hook is switched off.')
  const push = readPush(row.provider, headers, parsed(body))
  if (typeof push === 'string') return answer('ignored', push)
  if (!branchFits(row.branches, push.branch)) return answer('ignored', `The branch ${push.branch} is none of ${row.branches}.`)
  const acting = await asMaker(ctx, row)
  return inOne(acting, async (inner, tx) => {
    const [mine] = await tx
      .insert(deliveries)
      .values({ webhook_id: id, delivery, body_hash: hash, deploys: row.deploy !== null })
      .onConflictDoNothing()
      .returning()
    if (!mine) {
      const [known] = await tx
        .select()
        .from(deliveries)
        .where(and(eq(deliveries.webhook_id, id), or(eq(deliveries.delivery, delivery), eq(deliveries.body_hash, hash))))
      return answer('repeated', 'This delivery has been taken before.', known?.job_id ?? null)
    }
    const build = { type: 'build', ...row.build, git: { ...(row.build.git as object), ref: push.commit } }
    const labels = { ...((row.build.labels as object | null | undefined) ?? {}), webhook: id, branch: label(push.branch) }
    const job = await createJob(inner, JobCreate.parse({ ...build, labels }))
    await tx
      .update(deliveries)
      .set({ job_id: job.id })
      .where(and(eq(deliveries.webhook_id, id), eq(deliveries.delivery, delivery)))
    await tx
      .update(webhooks)
      .set({ last_delivery_at: sql`clock_timestamp()` as never })
      .where(eq(webhooks.id, id))
    return answer('build', `Building ${push.commit.slice(0, 7)} of ${push.branch}.`, job.id)
  })
}

/** Deploys whose build is over. Each delivery is taken once: its row is locked. */
export async function sweepHooks(env: PeriodicEnv): Promise<void> {
  const ctx = systemCtx(env)
  const waiting = await ctx.db
    .select({ delivery: deliveries, hook: webhooks, status: jobs.status, result: jobs.result })
    .from(deliveries)
    .innerJoin(jobs, eq(jobs.id, deliveries.job_id))
    .innerJoin(webhooks, eq(webhooks.id, deliveries.webhook_id))
    .where(
      and(
        eq(deliveries.deploys, true),
        isNull(deliveries.deploy_job_id),
        sql`${jobs.status} in ('succeeded', 'failed', 'canceled')`,
      ),
    )
    .limit(50)
  for (const { delivery, hook, status, result } of waiting) {
    const here = and(eq(deliveries.webhook_id, hook.id), eq(deliveries.delivery, delivery.delivery), eq(deliveries.deploys, true))
    const image = (result?.images as string[] | undefined)?.[0]
    await inOne(ctx, async (inner, tx) => {
      const [mine] = await tx.update(deliveries).set({ deploys: false }).where(here).returning()
      if (!mine || status !== 'succeeded' || !image || !hook.deploy) return
      const digest = result?.digest ? `${image.replace(/:[^:/]+$/, '')}@${result.digest}` : image
      try {
        inner.actor = (await asMaker(ctx, hook)).actor
        const job = await createJob(inner, JobCreate.parse(deployOf(hook.deploy, digest)))
        await tx
          .update(deliveries)
          .set({ deploy_job_id: job.id })
          .where(and(eq(deliveries.webhook_id, hook.id), eq(deliveries.delivery, delivery.delivery)))
      } catch (error) {
        if (!(error instanceof Problem)) throw error
        ctx.log.warn('hook_deploy_refused', { webhook: hook.id, detail: error.message })
      }
    })
  }
}

/** One transaction for a delivery and its job; what the job wants done after its commit is done after this one. */
async function inOne<T>(ctx: Ctx, work: (inner: Ctx, tx: Tx) => Promise<T>): Promise<T> {
  const pending: (() => Promise<unknown>)[] = []
  const inner: Ctx = { ...ctx, afterCommit: async later => void pending.push(later) }
  const result = await ctx.db.transaction(tx => {
    // A transaction answers to everything a verb asks of a database; its own begins are savepoints.
    inner.db = tx as unknown as Ctx['db']
    return work(inner, tx)
  })
  inner.db = ctx.db
  for (const later of pending) await ctx.afterCommit(later)
  return result
}

/** A deploy is made of nothing but these; what requests bring besides is not there by the clock. */
function systemCtx({ db, tunnel, origin, log }: PeriodicEnv): Ctx {
  const known: Partial<Ctx> = {
    db,
    tunnel,
    origin,
    log,
    address: '',
    requestId: newId('req'),
    actor: { kind: 'system' },
    afterCommit: runAtOnce(log),
  }
  return known as Ctx
}

function deployOf(deploy: Record<string, unknown>, image: string): Record<string, unknown> {
  const mappings = Object.entries((deploy.mappings ?? {}) as Record<string, string>)
  return {
    type: 'deploy',
    ...deploy,
    mappings: Object.fromEntries(mappings.map(([service, text]) => [service, text.replaceAll('{image}', image)])),
  }
}

/** Acts with what the maker's token may do now. */
async function asMaker(ctx: Ctx, row: Row): Promise<Ctx> {
  const [token] = await ctx.db
    .select({ scopes: tokens.scopes, expires_at: tokens.expires_at })
    .from(tokens)
    .innerJoin(projects, eq(projects.id, tokens.project_id))
    .where(and(eq(tokens.id, row.token_id), tokenLives))
  const scopes = (token?.scopes ?? []) as Scope[]
  const actor = {
    kind: 'token' as const,
    token: row.token_id,
    project: row.project_id,
    user: row.user_id,
    scopes,
    expiresAt: token?.expires_at?.getTime() ?? null,
    via: 'bearer' as const,
  }
  if (!token || !holds(actor, 'jobs:write'))
    throw new Problem('forbidden', 'The token that made this hook may not begin jobs any more.')
  return { ...ctx, actor }
}

const label = (branch: string) =>
  branch
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .slice(0, 63)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return null
  }
}
