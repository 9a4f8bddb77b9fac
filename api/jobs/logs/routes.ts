/** A job's output: taken from agents, given as text, as bytes, or as server-sent events that can be gone on from. */
import { z } from '@hono/zod-openapi'
import { LogPieceAnswer, LogPieceQuery, maxLogPiece } from '#protocol/job-logs.ts'
import { verifyAgent } from '../../agents/identity.ts'
import { aliveCheck } from '../../events/routes.ts'
import { invalid, Problem } from '../../problem.ts'
import type { Mount } from '../../resources.ts'
import { json, newRouter, problemAnswers, route } from '../../route.ts'
import { findJob } from '../read.ts'
import { type LogEvent, readLog } from './follow.ts'
import { liveLog, openLive } from './live.ts'
import { eventLog, placesOf, textLog } from './present.ts'
import { missingBytes, streamsOf, tailOffset } from './read.ts'
import { takeLogPiece } from './take.ts'

const flag = z.enum(['true', 'false', '1', '0', '']).transform(word => word !== 'false' && word !== '0')
const plain = { schema: { type: 'string' } } as const

const read = route({
  access: 'jobs:read',
  operationId: 'jobLogs',
  method: 'get',
  path: '/v1/jobs/{id}/logs',
  tags: ['Jobs'],
  summary: 'Its output: as text; with `follow` as server-sent events that resume with `Last-Event-ID`',
  request: {
    params: z.object({ id: z.string().max(64) }),
    headers: z.object({ 'last-event-id': z.string().max(4000).optional() }),
    query: z.object({
      attempt: z.coerce.number().int().min(1).optional().openapi({ description: 'Absent: the present one.' }),
      tail_lines: z.coerce.number().int().min(0).max(100_000).optional(),
      follow: flag.optional(),
      pod: z.string().max(253).optional(),
      container: z.string().max(63).optional(),
      live: flag.optional().openapi({
        description:
          'What a pod of a manifest or deploy job writes now, also when the job is over, in place of what was kept. Without `pod`: the newest that runs. The answer names the container it reads in `x-log-stream` (`pod/container`), and all that could be read in `x-log-streams`.',
      }),
      format: z
        .enum(['text', 'raw'])
        .default('text')
        .openapi({ description: '`text`: safe to show; `raw`: the bytes as they were written, what is not kept left out.' }),
    }),
  },
  responses: {
    200: {
      description: 'Its output so far. `event: log` has `{attempt, stream, offset, text}`, `gap` `{…, bytes}`, `end` `{status}`.',
      content: { 'text/plain': plain, 'text/event-stream': plain, 'application/octet-stream': plain },
    },
    ...problemAnswers(
      'not_found',
      'conflict',
      'job_not_running',
      'target_refused',
      'cluster_offline',
      'no_capacity',
      'target_timeout',
    ),
  },
})

const take = route({
  access: 'agent',
  operationId: 'takeJobLogs',
  method: 'post',
  path: '/v1/agent/jobs/{id}/logs',
  tags: ['Agents'],
  summary: 'A piece of a job’s output, or a question how far the API has come',
  request: { params: z.object({ id: z.string().max(64) }), query: LogPieceQuery },
  responses: {
    200: json(LogPieceAnswer, 'Taken'),
    409: json(LogPieceAnswer, 'It does not begin where the stream ends: go on from `next`'),
    ...problemAnswers('unauthorized', 'not_found', 'too_large'),
  },
})

export const mountJobLogs: Mount = (app, { auth }) => {
  const router = newRouter()
  router.openapi(read, async c => {
    const { ctx } = c.var
    const { follow = false, live = false, tail_lines, format, pod, container, attempt } = c.req.valid('query')
    const job = await findJob(ctx, c.req.valid('param').id)
    const raw = format === 'raw'
    const events = follow && !raw && !wantsPlainText(c.req.header('accept'))
    const ended = new AbortController()
    const signal = AbortSignal.any([c.req.raw.signal, ended.signal])
    const alive = follow ? aliveCheck(ctx, auth, c.req.raw) : async () => true
    const answer = (log: AsyncGenerator<LogEvent>, headings: boolean, headers: Record<string, string>) => {
      const body = events ? eventLog(log, attempt ?? job.attempt, alive) : textLog(log, { headings, raw, alive })
      const type = events ? 'text/event-stream' : raw ? 'application/octet-stream' : 'text/plain'
      return new Response(streamOf(body, ended), {
        headers: {
          'content-type': raw ? type : `${type}; charset=utf-8`,
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
          'x-accel-buffering': 'no',
          ...headers,
        },
      }) as never
    }
    if (live) {
      if (attempt !== undefined) throw invalid('?attempt', 'What runs now is of no attempt: leave it out with `live`.')
      const output = await openLive(ctx, job, { tail_lines, follow, pod, container }, signal)
      return answer(liveLog(output, { raw, status: job.status, signal }), false, output.headers)
    }
    const wish = { job: job.id, attempt: attempt ?? job.attempt, pod, container, follow }
    if (wish.attempt > job.attempt) throw new Problem('not_found', 'There has been no such attempt.')
    const resumed = events ? placesOf(c.req.valid('header')['last-event-id'], wish.attempt) : null
    const from = resumed ?? new Map<string, number>()
    const streams = await streamsOf(ctx.db, wish.job, wish.attempt, wish)
    if (!resumed && tail_lines !== undefined)
      for (const stream of streams)
        from.set(stream, await tailOffset(ctx.db, { job_id: wish.job, attempt: wish.attempt, stream }, tail_lines))
    const log = readLog({ db: ctx.db, wish, raw, from, signal })
    const missing = raw ? await missingBytes(ctx.db, { job_id: wish.job, attempt: wish.attempt, stream: streams[0] ?? '' }) : 0
    return answer(log, streams.length > 1, missing > 0 ? { 'x-log-missing-bytes': String(missing) } : {})
  })
  router.openapi(take, async c => {
    const { ctx } = c.var
    const agent = await verifyAgent(ctx.db, c.req.raw.headers)
    const data = await smallBody(c.req.raw)
    const { kind, answer } = await takeLogPiece(ctx, agent, c.req.valid('param').id, c.req.valid('query'), data)
    return kind === 'taken' ? c.json(answer, 200) : c.json(answer, 409)
  })
  app.route('/', router)
}

const wantsPlainText = (accept: string | undefined) => accept !== undefined && /^\s*text\/plain\b/.test(accept)

function streamOf(body: AsyncGenerator<Uint8Array>, ended: AbortController): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await body.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        ended.abort()
        await body.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

async function smallBody(request: Request): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of request.body ?? []) {
    length += part.length
    if (length > maxLogPiece) throw new Problem('too_large', `A piece has ${maxLogPiece} bytes at most.`)
    parts.push(part)
  }
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
