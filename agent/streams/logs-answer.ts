/** `logs`: what a session's programs, or the pods that a job left running, write; the body of an answer that is ready to be relayed. */
import type { Open } from '#protocol/link-messages.ts'
import type { Clock } from '../clock.ts'
import type { LiveOutput } from '../runtimes/job-runtime.ts'
import { DialError, type HostResponse, type LogOptions, type Runtime } from '../runtimes/runtime.ts'
import { isJob } from '../terminals/terminal-book.ts'

/** Silent logs: so long we wait for a first byte or an error before answering the viewer. */
const firstLogMs = 100

export async function openLogs(
  { runtime, clock }: { runtime: Runtime; clock: Clock },
  { session, target }: Open,
  dialling: AbortSignal,
  life: AbortSignal,
): Promise<{ answer: HostResponse; drop: () => void }> {
  const { tail_lines: tailLines, follow = false, container, pod, job } = target.logs ?? {}
  const stop = new AbortController()
  const options: LogOptions = {
    ...(tailLines !== undefined && { tailLines }),
    ...(container !== undefined && { container }),
    follow,
    signal: AbortSignal.any([stop.signal, life]),
  }
  const live = isJob(session) ? await outputOfJob() : null
  dialling.throwIfAborted()
  const lines = (live?.output ?? runtime.logs(session, options))[Symbol.asyncIterator]()
  const first = lines.next()
  const drop = () => {
    stop.abort(new Error('dropped'))
    first.catch(() => {})
    lines.return?.()?.then(undefined, () => {})
  }
  // An error at once becomes an answer; silence is fine.
  await new Promise<void>((resolve, reject) => {
    const cancel = clock.after(firstLogMs, resolve)
    first.then(() => resolve(), reject).finally(cancel)
  })
  const headers: Record<string, string> = live ? { 'x-log-stream': live.stream, 'x-log-streams': live.streams.join(', ') } : {}
  return { answer: { status: 200, headers, body: resumed(first, lines) }, drop }

  async function outputOfJob(): Promise<LiveOutput> {
    if (!runtime.jobs?.output || !job) throw new DialError(501, 'unsupported', 'this cluster has no live output of jobs')
    return await runtime.jobs.output(session, job, { ...options, ...(pod !== undefined && { pod }) }, dialling)
  }
}

/** An iterator whose first step was taken already. */
async function* resumed<T>(first: Promise<IteratorResult<T>>, rest: AsyncIterator<T>): AsyncGenerator<T> {
  for (let step = await first; !step.done; step = await rest.next()) yield step.value
}
