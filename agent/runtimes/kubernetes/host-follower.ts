/** Hears each change of one pod's host program by its long poll, until told to stop. A host that does not answer is asked again, more and more seldom. */
import { type Clock, sleep } from '#agent/clock.ts'
import { Backoff } from '#agent/link/backoff.ts'
import { askHost, type HostDoor } from '../host-door.ts'
import { type HostStatus, readHostStatus } from '../host-status.ts'

const pollSeconds = 25
const answerMs = (pollSeconds + 10) * 1000
const largestStatus = 64 * 1024
/** The `Date` header counts whole seconds. */
const noteworthyOffsetMs = 2_000

export interface FollowHostParts {
  door: HostDoor
  clock: Clock
  random: () => number
  heard: (status: HostStatus) => void
}

export async function followHost({ door, clock, random, heard }: FollowHostParts, signal: AbortSignal): Promise<void> {
  const backoff = new Backoff(random, 200, 3_000)
  let since = -1
  while (!signal.aborted) {
    const late = new AbortController()
    const cancel = clock.after(answerMs, () => late.abort(new Error('no answer')))
    try {
      const status = await ask(door, since, clock, AbortSignal.any([signal, late.signal]))
      backoff.reset()
      // A host that begins to count again is another one.
      since = status.seq
      heard(status)
    } catch {
      if (signal.aborted) return
      since = -1
      await sleep(clock, 100 + backoff.next(), signal)
    } finally {
      cancel()
    }
  }
}

async function ask(door: HostDoor, since: number, clock: Clock, signal: AbortSignal): Promise<HostStatus> {
  const path = since < 0 ? '/status' : `/status?since=${since}&wait=${pollSeconds}`
  const { status, headers, body } = await askHost(door, { method: 'GET', path, headers: {}, signal })
  let text = ''
  for await (const chunk of body) {
    text += Buffer.from(chunk).toString('utf8')
    if (text.length > largestStatus) throw new Error('the status is too large')
  }
  const parsed = status === 200 ? readHostStatus(text) : null
  if (!parsed) throw new Error('not a status')
  const difference = Date.parse(headers.date ?? '') - clock.wall()
  return Math.abs(difference) >= noteworthyOffsetMs ? onOurClock(parsed, difference) : parsed
}

/** `offset`: the host's clock minus ours. */
export function onOurClock(status: HostStatus, offset: number): HostStatus {
  return {
    ...status,
    phases: status.phases.map(({ phase, at }) => ({ phase, at: at - offset })),
    active_at: status.active_at === null ? null : status.active_at - offset,
  }
}
