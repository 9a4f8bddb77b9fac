/** What the page behind a share link says in each of its states. Pure. */
import type { SharedSession } from '../../api/contract.ts'
import { safeLine } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'
import { clockTime } from '../../format/time.ts'

/** The secret of `/join#vnc-lk-…`; empty when the address was cut off. The API alone judges whether it is right. */
export function secretOf(hash: string): string {
  const text = hash.replace(/^#/, '').trim()
  return /^vnc-lk-[0-9A-Za-z]{20,140}$/.test(text) ? text : ''
}

export function sharedTitle(shared: Pick<SharedSession, 'name' | 'template'>): string {
  return safeLine(shared.name ?? '') || `A ${safeLine(shared.template)} session`
}

export interface JoinWords {
  title: string
  words: string
}

/** Why the link opens nothing (any more). `known`: what it showed before, if it ever did. */
export function goneWords(known: SharedSession | null, now: number): JoinWords {
  if (!known)
    return {
      title: 'This link does not work',
      words: 'It has expired, was taken back, or its session has ended. Ask for a new one.',
    }
  const who = safeLine(known.shared_by)
  if (Date.parse(known.expires_at) <= now)
    return { title: 'This link has expired', words: `${who} shared ${sharedTitle(known)} until ${clockTime(known.expires_at)}.` }
  return {
    title: 'Sharing has ended',
    words: `${who} took the link back, or ended ${sharedTitle(known)}. Nothing of it stays here.`,
  }
}

/** Somebody else has it: the guest may ask, once at a time. */
export function askingOf(shared: Pick<SharedSession, 'role' | 'role_now' | 'asked_at'>): 'none' | 'may' | 'asked' {
  if (shared.role !== 'control' || shared.role_now !== 'view') return 'none'
  return shared.asked_at ? 'asked' : 'may'
}

/** What the guest may do now: control can be handed to somebody else, and back. */
export function roleWord(shared: Pick<SharedSession, 'role' | 'role_now'>): { word: string; tone: Tone } {
  if (shared.role === 'view') return { word: 'You are watching', tone: 'quiet' }
  if (shared.role_now === 'view') return { word: 'Somebody else has control', tone: 'quiet' }
  return { word: 'You have control', tone: 'warn' }
}

const waits: Record<string, JoinWords> = {
  queued: { title: 'Not started yet', words: 'It waits for room. The screen appears here by itself.' },
  starting: { title: 'Starting', words: 'The screen appears here by itself.' },
  stopping: { title: 'Stopping', words: 'It is being closed.' },
  stopped: { title: 'It is stopped', words: 'When it is started again, the screen appears here by itself.' },
  failed: { title: 'It has failed', words: 'When it is started again, the screen appears here by itself.' },
  expired: { title: 'Its time was up', words: 'When it is started again, the screen appears here by itself.' },
  unreachable: { title: 'Out of sight', words: 'The cluster it runs on is offline at the moment. It is tried again by itself.' },
}

export function waitWords(status: string): JoinWords {
  return waits[status] ?? { title: 'Not ready', words: 'The screen appears here by itself.' }
}
