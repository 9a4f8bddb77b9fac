/** What a manifest or a deploy left running, read live in place of the log that was kept: whether, and of which container. */
import type { Job } from '../../api/contract.ts'
import { Switch } from '../../parts/form.tsx'

/** `stream` is `pod/container`; absent: the newest pod that runs. */
export interface LiveSource {
  stream?: string
}

/** What the answer named: the container that is read, and all that could be. */
export interface Found {
  stream: string
  streams: string[]
}
export const nothingFound: Found = { stream: '', streams: [] }

/** While a job runs its own log brings the pods' output too. */
export function mayReadLive(job: Pick<Job, 'type' | 'status' | 'result' | 'spec'>): boolean {
  if (job.type !== 'manifest' && job.type !== 'deploy') return false
  const ended = job.status === 'succeeded' || job.status === 'failed' || job.status === 'canceled'
  return ended && job.spec.dry_run !== true && job.spec.action !== 'delete'
}

interface LiveChoiceProps {
  live: LiveSource | null
  found: Found
  onChoose: (live: LiveSource | null) => void
}

export function LiveChoice({ live, found, onChoose }: LiveChoiceProps) {
  return (
    <>
      <Switch label="Live output" on={live !== null} onSwitch={on => onChoose(on ? {} : null)} />
      {live && found.streams.length > 0 && (
        <select
          className="select"
          aria-label="Container"
          value={live.stream ?? found.stream}
          onChange={event => onChoose({ stream: event.currentTarget.value })}
        >
          {found.streams.map(name => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
    </>
  )
}

const shownLines = 400

/** Its last lines first; after a cut only what is new, because a live reading has no place to go on from. */
export function liveOpening(
  read: (wish: { tail: number; follow: true }, signal: AbortSignal) => Promise<Response>,
  onFound: (found: Found) => void,
): (lastEventId: string | null, signal: AbortSignal) => Promise<Response> {
  let tail = shownLines
  return async (_, signal) => {
    const answer = await read({ tail, follow: true }, signal)
    tail = 0
    const stream = answer.headers.get('x-log-stream') ?? ''
    const streams = (answer.headers.get('x-log-streams') ?? '').split(', ').filter(Boolean)
    // The one that was asked for may be beyond those that are named.
    onFound({ stream, streams: streams.includes(stream) || !stream ? streams : [stream, ...streams] })
    return answer
  }
}
