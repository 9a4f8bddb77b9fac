/** One piece of a job's output over HTTP, signed like everything an agent says. Failures that pass are thrown; the others are answers. */
import { LogPieceAnswer } from '#protocol/job-logs.ts'

export interface LogPiecePost {
  job: string
  attempt: number
  stream: string
  epoch: number
  offset?: number
  gap?: number
  mark?: string | undefined
  complete?: boolean
  data?: Uint8Array
}

/** `unknown`: the API has no such job here (any more): nobody wants its output. `stale`: a newer link has taken over. */
export type LogPostAnswer = { kind: 'taken' | 'elsewhere'; answer: LogPieceAnswer } | { kind: 'unknown' } | { kind: 'stale' }

export type LogPost = (piece: LogPiecePost, signal: AbortSignal) => Promise<LogPostAnswer>

const answerDeadlineMs = 30_000

export function httpLogPost(parts: { origin: string; fetch: typeof fetch; sign: () => Promise<string> }): LogPost {
  return async (piece, signal) => {
    const url = new URL(`/v1/agent/jobs/${piece.job}/logs`, parts.origin)
    const { data, job: _, complete, ...query } = piece
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value))
    if (complete) url.searchParams.set('complete', '1')
    const response = await parts.fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${await parts.sign()}`, 'content-type': 'application/octet-stream' },
      body: (data ?? new Uint8Array()) as Uint8Array<ArrayBuffer>,
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerDeadlineMs)]),
    })
    const text = await response.text()
    if (response.status === 404) return { kind: 'unknown' }
    if (response.status === 200) return { kind: 'taken', answer: LogPieceAnswer.parse(JSON.parse(text)) }
    if (response.status === 409) {
      const body = JSON.parse(text) as { next?: unknown }
      return body.next === undefined ? { kind: 'stale' } : { kind: 'elsewhere', answer: LogPieceAnswer.parse(body) }
    }
    throw new Error(`the API answered ${response.status}`)
  }
}
