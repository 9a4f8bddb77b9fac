/** Events of one session as lines to read: newest first, each once, and no line that says what the one before it said. Pure. */
import type { LiveEvent } from '../../api/contract.ts'
import { safeLine } from '../../format/safe-text.ts'
import { givenReason, phaseWord, wordFor } from '../../format/session-words.ts'

export interface EventLine {
  id: string
  at: string
  words: string
}

export function eventLines(events: readonly LiveEvent[]): EventLine[] {
  // Ids sort by time, so they are the order.
  const once = [...new Map(events.map(event => [event.id, event])).values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  const lines: EventLine[] = []
  for (const event of once) {
    const words = eventWords(event)
    if (lines.at(-1)?.words !== words) lines.push({ id: event.id, at: event.created_at, words })
  }
  return lines.reverse()
}

function eventWords(event: LiveEvent): string {
  const { session } = event
  if (!session) return safeLine(event.type.replaceAll('.', ' '))
  if (event.type === 'session.created') return 'Asked for'
  if (event.type === 'session.deleted') return 'Deleted'
  const { word } = wordFor(session.status)
  const phase = session.status === 'starting' ? session.phases.at(-1) : undefined
  const more = givenReason(session) || (phase ? phaseWord(phase.phase) : '')
  return more ? `${word}: ${more}` : word
}
