/** Jobs of the puppet API, with logs that grow while they are followed. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Job } from '../src/api/contract.ts'
import { type Body, empty, json, list, problem } from './answers.ts'
import type { FakeState } from './fake-api.ts'
import { sampleJob } from './sample-jobs.ts'

interface Parts {
  state: FakeState
  nextId: (prefix: string) => string
  tell: (type: string, more: object) => void
}

export type FakeJobs = ReturnType<typeof fakeJobs>

const ended = new Set(['succeeded', 'failed', 'canceled'])

export function fakeJobs({ state, nextId, tell }: Parts) {
  const followers = new Map<string, Set<ServerResponse>>()

  function tellJob(job: Job, type = 'job.updated') {
    if (type === 'job.deleted') state.jobs.delete(job.id)
    else state.jobs.set(job.id, job)
    tell(type, { job })
    if (ended.has(job.status)) for (const follower of followers.get(job.id) ?? []) end(follower, job)
  }
  function end(response: ServerResponse, job: Job) {
    response.end(`event: end\ndata: ${JSON.stringify({ attempt: job.attempt, status: job.status })}\n\n`)
  }
  const piece = (text: string, from: number) =>
    `id: 1:=${from + text.length}\nevent: log\ndata: ${JSON.stringify({ attempt: 1, stream: '', offset: from, text })}\n\n`

  /** More output, told to whoever follows. */
  function write(id: string, text: string) {
    const before = state.jobLogs.get(id) ?? ''
    state.jobLogs.set(id, before + text)
    for (const follower of followers.get(id) ?? []) follower.write(piece(text, before.length))
  }

  function answer(request: IncomingMessage, url: URL, id: string, verb: string, body: Body, response: ServerResponse): unknown {
    const { method } = request
    if (!id && method === 'GET') {
      const status = url.searchParams.get('status')
      const type = url.searchParams.get('type')
      const [label, value] = (url.searchParams.get('labels') ?? '').split('=')
      const all = [...state.jobs.values()]
        .filter(one => !status || ended.has(one.status) === (status === 'ended'))
        .filter(one => !type || one.type === type)
        .filter(one => !label || one.labels[label] === value)
        .sort((a, b) => (a.created_at < b.created_at ? 1 : -1))
      return json(response, 200, list(all))
    }
    if (!id) {
      if (body.image === 'no spaces') {
        const detail = 'This is no image reference.'
        return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/image', detail }] })
      }
      const { type, name, dry_run, ...spec } = body
      if (dry_run) {
        const changes = [
          { kind: 'Deployment', name: 'shop', change: 'update', diff: '   spec:\n-    replicas: 2\n+    replicas: 3' },
          { kind: 'ConfigMap', name: 'old', change: 'delete', diff: '' },
        ]
        const looked = sampleJob(Date.now(), { id: nextId('job'), type: 'manifest', spec, result: { changes, dry_run: true } })
        return json(response, 201, looked)
      }
      if (typeof body.yaml === 'string' && body.yaml.includes('privileged')) {
        const detail = 'line 7: is not allowed.'
        return problem(response, 422, 'invalid', { detail, errors: [{ pointer: '/yaml/0/spec/privileged', detail }] })
      }
      const made = sampleJob(Date.now(), {
        id: nextId('job'),
        type: (type as Job['type']) ?? 'run',
        name: typeof name === 'string' ? name : null,
        status: 'queued',
        spec,
        queue: { position: 1, reason: 'eu-west: 5 of 5 jobs run.' },
      })
      tellJob(made, 'job.created')
      return json(response, 201, made)
    }
    const job = state.jobs.get(id)
    if (!job) return problem(response, 404, 'not_found')
    if (method === 'DELETE') {
      tellJob(job, 'job.deleted')
      return empty(response)
    }
    if (verb === 'logs') return logs(request, url, job, response)
    if (verb === 'cancel') tellJob({ ...job, canceling: true })
    if (verb === 'retry')
      tellJob({ ...job, status: 'queued', attempt: job.attempt + 1, ended_at: null, exit_code: null, status_reason: null })
    const attempts = job.attempt > 1 ? [{ attempt: 1, status: 'failed', exit_code: 1, cluster: job.cluster }] : []
    return json(response, 200, { ...(state.jobs.get(id) ?? job), attempts })
  }

  function logs(request: IncomingMessage, url: URL, job: Job, response: ServerResponse): unknown {
    if (url.searchParams.get('live') === 'true') return live(url, job, response)
    const text = state.jobLogs.get(job.id) ?? ''
    if (url.searchParams.get('follow') !== 'true') {
      response.writeHead(200, { 'content-type': 'text/plain' })
      return response.end(text)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const from = Number(/=(\d+)$/.exec(String(request.headers['last-event-id'] ?? ''))?.[1] ?? 0)
    response.write('retry: 1000\n: connected\n\n')
    for (let at = from; at < text.length; at += 65_536) response.write(piece(text.slice(at, at + 65_536), at))
    if (ended.has(job.status)) return end(response, job)
    const open = followers.get(job.id) ?? new Set()
    followers.set(job.id, open.add(response))
    response.on('close', () => open.delete(response))
  }

  /** Two pods that go on writing; of `gone` nothing runs. */
  function live(url: URL, job: Job, response: ServerResponse): unknown {
    if (job.name === 'gone') return problem(response, 409, 'job_not_running', { detail: 'no pod of the job runs' })
    const streams = ['shop-2/main', 'shop-1/main']
    const pod = url.searchParams.get('pod')
    const stream = pod ? `${pod}/${url.searchParams.get('container')}` : streams[0]!
    const type = url.searchParams.get('follow') === 'true' ? 'text/event-stream' : 'text/plain'
    response.writeHead(200, { 'content-type': type, 'x-log-stream': stream, 'x-log-streams': streams.join(', ') })
    const text = `${stream} serves\n`
    if (type === 'text/plain') return response.end(text)
    response.write(`event: log\ndata: ${JSON.stringify({ attempt: 1, stream, offset: 0, text })}\n\n`)
  }

  return {
    answer,
    tellJob,
    write,
    /** Cuts everybody who follows, as a network would. */
    cut(id: string) {
      for (const follower of followers.get(id) ?? []) follower.destroy()
    },
  }
}
