/** A look at a repository before a build: its branches, and what its Dockerfile takes. A cluster that builds does the looking, as a job. */
import { z } from '@hono/zod-openapi'
import type { Ctx } from '../context.ts'
import { answerAfterCommit } from '../idempotency/middleware.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { preferredWait } from '../sessions/wait.ts'
import { createJob } from './create.ts'
import { endInWords } from './logs/last-words.ts'
import { jobFields } from './schema.ts'
import { BuildFields, GitSource } from './specs/build.ts'
import { waitUntilOver } from './wait.ts'

export const InspectCreate = z
  .strictObject({ git: GitSource, dockerfile: BuildFields.dockerfile, cluster: jobFields.cluster })
  .openapi('InspectCreate')
export const Inspection = z
  .object({
    object: z.literal('inspection'),
    job: z.string(),
    status: z.string().openapi({ description: 'Of the job; anything but `succeeded`: there is nothing to see, or not yet.' }),
    detail: z.string().nullable(),
    commit: z.string().nullable(),
    default_branch: z.string().nullable(),
    branches: z.array(z.string()),
    dockerfile: z
      .object({
        path: z.string(),
        args: z.array(z.object({ name: z.string(), default: z.string().nullable() })),
        stages: z.array(z.string()),
      })
      .nullable(),
  })
  .openapi('Inspection')
const Found = Inspection.pick({ commit: true, default_branch: true, branches: true, dockerfile: true }).partial()
const nothing = { commit: null, default_branch: null, branches: [], dockerfile: null }
const inspectSeconds = 30

const inspect = route({
  access: 'jobs:write',
  operationId: 'inspectSource',
  method: 'post',
  path: '/v1/jobs/inspect',
  tags: ['Jobs'],
  summary: 'Branches of a repository, ARGs and stages of its Dockerfile; waits half a minute at most',
  request: {
    headers: z.object({ prefer: z.string().max(200).optional().openapi({ description: '`wait=N` (0..60): instead of 30 s.' }) }),
    body: jsonBody(InspectCreate),
  },
  responses: { 200: json(Inspection, 'What was found'), ...problemAnswers('conflict', 'quota_exceeded') },
})

export const mountInspect: Mount = app => {
  const router = newRouter()
  router.openapi(inspect, async c => {
    const { prefer } = c.req.valid('header')
    const seconds = prefer === undefined ? inspectSeconds : preferredWait(prefer)
    const { id, status } = await createJob(c.var.ctx, {
      type: 'build',
      ...c.req.valid('json'),
      dry_run: true,
      timeout_seconds: 300,
    })
    const begun = { object: 'inspection' as const, job: id, status, detail: null, ...nothing }
    return answerAfterCommit(c, c.json(begun, 200), async () =>
      c.json(await found(c.var.ctx, id, seconds, c.req.raw.signal), 200),
    )
  })
  app.route('/', router)
}

async function found(ctx: Ctx, id: string, seconds: number, signal: AbortSignal): Promise<z.infer<typeof Inspection>> {
  const job = await waitUntilOver(ctx, id, seconds, signal)
  const { status, result } = job
  // The agent's words: what does not fit is left out.
  const seen = Found.safeParse(result ?? {}).data ?? {}
  return { object: 'inspection', job: id, status, detail: await endInWords(ctx.db, job, signal), ...nothing, ...seen }
}
