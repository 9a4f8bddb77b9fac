/** How a session is spoken of: its status in a word, its tone, and what may be done with it now. One place, total over every status. */
import type { Session, SessionStatus } from '../api/contract.ts'
import { ordinal } from './quantity.ts'
import { safeLine } from './safe-text.ts'

export type Tone = 'good' | 'wait' | 'bad' | 'quiet' | 'warn'
/** `again`: a new one like it, where this one cannot run any more. */
export type SessionAction = 'open' | 'extend' | 'restart' | 'stop' | 'start' | 'again' | 'end'

interface Word {
  word: string
  tone: Tone
  /** Something is still happening by itself. */
  moving: boolean
  live: boolean
  actions: readonly SessionAction[]
  /** Said when the API gives no reason of its own. */
  fallback: string
}

export const sessionWords: Record<SessionStatus, Word> = {
  queued: {
    word: 'Queued',
    tone: 'wait',
    moving: true,
    live: true,
    actions: ['open', 'end'],
    fallback: 'Waiting for room in a cluster.',
  },
  starting: {
    word: 'Starting',
    tone: 'wait',
    moving: true,
    live: true,
    actions: ['open', 'stop', 'end'],
    fallback: 'Getting ready.',
  },
  running: {
    word: 'Running',
    tone: 'good',
    moving: false,
    live: true,
    actions: ['open', 'extend', 'restart', 'stop', 'end'],
    fallback: '',
  },
  stopping: { word: 'Stopping', tone: 'wait', moving: true, live: true, actions: ['open', 'end'], fallback: 'Closing programs.' },
  stopped: {
    word: 'Stopped',
    tone: 'quiet',
    moving: false,
    live: false,
    actions: ['open', 'start', 'end'],
    fallback: 'Stopped. Its files are kept.',
  },
  failed: {
    word: 'Failed',
    tone: 'bad',
    moving: false,
    live: false,
    actions: ['open', 'again', 'end'],
    fallback: 'It ended without saying why.',
  },
  expired: {
    word: 'Expired',
    tone: 'quiet',
    moving: false,
    live: false,
    actions: ['open', 'again', 'end'],
    fallback: 'Its time was up.',
  },
  unreachable: {
    word: 'Unreachable',
    tone: 'warn',
    moving: false,
    live: true,
    actions: ['open', 'end'],
    fallback: 'Its cluster is offline. It may still be running there.',
  },
}

/** A status of a newer API is shown by its own name rather than hidden. */
export function wordFor(status: string): Word {
  return (
    (sessionWords as Record<string, Word>)[status] ?? {
      word: status,
      tone: 'quiet',
      moving: false,
      live: true,
      actions: ['open', 'end'],
      fallback: '',
    }
  )
}

export function titleOf(session: Pick<Session, 'name' | 'id'>): string {
  return (session.name && safeLine(session.name)) || session.id
}

const endings: Record<string, string> = {
  requested: 'Stopped on request.',
  ttl: 'Its time was up.',
  idle: 'Nobody used it for a while.',
  drained: 'Its cluster was drained.',
  start_timeout: 'It did not start in time.',
}

/** What the server says of the status, unless it only repeats it. */
export function givenReason(session: Pick<Session, 'status_reason'>): string {
  const reason = safeLine(session.status_reason ?? '')
  return Object.hasOwn(sessionWords, reason.toLowerCase()) ? '' : reason
}

/** One sentence on why it is as it is; empty while it simply runs. */
export function reasonOf(session: Session): string {
  if (session.status === 'queued' && session.queue) {
    const place = session.queue.position > 0 ? `${ordinal(session.queue.position)} in line.` : ''
    return [place, safeLine(session.queue.reason ?? session.status_reason ?? '')].filter(Boolean).join(' ')
  }
  const word = wordFor(session.status)
  const given = givenReason(session)
  // It stands alone here; the server writes it to follow other words.
  if (given) return given.charAt(0).toUpperCase() + given.slice(1)
  if (!word.live && session.termination_reason) return endings[session.termination_reason] ?? word.fallback
  return word.fallback
}

/** What a press of the button will have made of it, until the server says more. */
export const expectedStatus: Partial<Record<SessionAction, SessionStatus>> = {
  restart: 'starting',
  start: 'starting',
  stop: 'stopping',
  end: 'stopping',
}

const phaseWords: Record<string, string> = {
  queued: 'Queued',
  placed: 'Cluster chosen',
  scheduled: 'Scheduled on a node',
  pulling: 'Pulling the image',
  pulled: 'Image is there',
  container_started: 'Container started',
  spawned: 'Sandbox started',
  created: 'Supervisor is up',
  listening: 'Supervisor answers',
  display_ready: 'Screen is on',
  program_started: 'Program started',
  browser_ready: 'Browser is up',
  script_ready: 'Playwright answers',
  ready: 'Ready',
  start_url_opened: 'First page opened',
  running: 'Running',
  stopping: 'Stopping',
  stopped: 'Stopped',
  ended: 'Ended',
  failed: 'Failed',
  expired: 'Expired',
}

export function phaseWord(phase: string): string {
  const known = phaseWords[phase]
  if (known) return known
  const words = safeLine(phase).replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
