/** Work with an end. */
import type { Job, JobCreate, JobWithAttempts, List } from './contract.ts'
import type { Http } from './http.ts'

export interface JobFilter {
  /** Comma separated; also `active` and `ended`. */
  status?: string
  type?: string
  cluster?: string
  /** `key=value,key2=value2`: all must match. */
  labels?: string
}

export function jobCalls({ send, json, maybe }: Http) {
  const job = (id: string, rest = '') => `/v1/jobs/${encodeURIComponent(id)}${rest}`
  return {
    jobs: (filter: JobFilter, cursor: string | null, signal: AbortSignal) =>
      json<List<Job>>('/v1/jobs', { query: { ...filter, cursor, limit: 50 }, signal }),
    job: (id: string, signal?: AbortSignal) => json<JobWithAttempts>(job(id), { ...(signal ? { signal } : {}) }),
    createJob: (body: JobCreate, wait = 0) =>
      json<Job>('/v1/jobs', { method: 'POST', body, ...(wait > 0 ? { headers: { prefer: `wait=${wait}` } } : {}) }),
    cancelJob: (id: string) => json<JobWithAttempts>(job(id, '/cancel'), { method: 'POST' }),
    retryJob: (id: string, force: boolean) => json<JobWithAttempts>(job(id, '/retry'), { method: 'POST', body: { force } }),
    deleteJob: (id: string) => maybe(job(id), { method: 'DELETE' }),
    /** Server-sent events; `lastEventId` goes on where an earlier answer broke off. */
    followJobLog: (id: string, attempt: number, lastEventId: string | null, signal: AbortSignal) =>
      send(job(id, '/logs'), {
        query: { attempt, follow: true },
        headers: { accept: 'text/event-stream', ...(lastEventId ? { 'last-event-id': lastEventId } : {}) },
        signal,
      }),
    /** What a pod of a manifest or deploy writes now; `stream` is `pod/container`, absent: the newest pod that runs. */
    liveOutput: (id: string, wish: { stream?: string; tail: number; follow: boolean }, signal: AbortSignal) => {
      const [pod, container] = wish.stream?.split('/') ?? []
      const chosen = pod === undefined || container === undefined ? {} : { pod, container }
      return send(job(id, '/logs'), {
        query: { live: true, tail_lines: wish.tail, ...(wish.follow && { follow: true }), ...chosen },
        headers: { accept: wish.follow ? 'text/event-stream' : 'text/plain' },
        signal,
      })
    },
    jobLog: async (id: string, attempt: number, signal: AbortSignal): Promise<Blob> =>
      (await send(job(id, '/logs'), { query: { attempt }, headers: { accept: 'text/plain' }, signal })).blob(),
  }
}
