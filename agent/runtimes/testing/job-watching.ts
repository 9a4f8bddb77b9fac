/** Attempts for tests of job runtimes, and ways to wait for what becomes of them. */
import { randomBytes } from 'node:crypto'
import { attemptName, type RunSpec } from '#protocol/job-spec.ts'
import type { JobAttempt, JobInstance, JobRuntime, LogPiece } from '../job-runtime.ts'

export function anAttempt(spec: Partial<RunSpec>, more: Partial<JobAttempt> = {}): JobAttempt {
  const job = more.job ?? `job_t${randomBytes(5).toString('hex')}`
  const attempt = more.attempt ?? 1
  return {
    name: attemptName(job, attempt),
    job,
    attempt,
    project: 'prj_lab',
    user: 'tester',
    labels: {},
    secrets: {},
    timeoutMs: 120_000,
    graceMs: 5_000,
    ...more,
    spec: { type: 'run', env: {}, secret_env: {}, limits: {}, requests: {}, egress: { mode: 'all', allow: [] }, ...spec },
  }
}

export const shell = (line: string) => ['/bin/sh', '-c', line]

export async function jobSeen(
  runtime: JobRuntime,
  name: string,
  fits: (instance: JobInstance) => boolean,
  ms = 60_000,
): Promise<JobInstance> {
  const { promise, resolve, reject } = Promise.withResolvers<JobInstance>()
  let last: JobInstance | undefined
  const look = () =>
    void runtime.observe().then(all => {
      last = all.find(each => each.name === name)
      if (last && fits(last)) resolve(last)
    }, reject)
  const timer = setTimeout(() => reject(new Error(`${name} did not get there: ${JSON.stringify(last)}`)), ms)
  const unwatch = runtime.watch(look)
  look()
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    unwatch()
  }
}

export const jobEnded = (runtime: JobRuntime, name: string, ms?: number) =>
  jobSeen(runtime, name, each => each.phase === 'ended', ms)

/** The whole output from there on, gaps as they came; fails when pieces do not join. */
export async function outputOf(
  runtime: JobRuntime,
  { name, uid }: Pick<JobInstance, 'name' | 'uid'>,
  from = 0,
): Promise<{ bytes: Buffer; gaps: number; end: number; pieces: LogPiece[] }> {
  const parts: Uint8Array[] = []
  const pieces: LogPiece[] = []
  let gaps = 0
  let end = from
  for await (const piece of runtime.logs(name, uid, '', { offset: from, mark: null }, AbortSignal.timeout(180_000))) {
    if (piece.offset !== end) throw new Error(`a piece begins at ${piece.offset}, not at ${end}`)
    if ('gap' in piece) {
      gaps += piece.gap
      end += piece.gap
      pieces.push(piece)
    } else {
      parts.push(piece.data)
      end += piece.data.length
    }
  }
  return { bytes: Buffer.concat(parts), gaps, end, pieces }
}
