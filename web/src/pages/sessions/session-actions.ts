/** What the buttons do. Each shows its effect at once and takes it back, with a word, if the server refuses. */

import type { Session } from '../../api/contract.ts'
import type { AppParts } from '../../app-context.tsx'
import { expectedStatus, type SessionAction, titleOf } from '../../format/session-words.ts'
import { fetched, gone, pend } from '../../live/entities.ts'

/** Those that are a call; the others open something. */
export type CalledAction = Exclude<SessionAction, 'open' | 'again'>

export interface SessionActions {
  run: (action: CalledAction, session: Session) => Promise<boolean>
}

const said: Record<CalledAction, (title: string) => string> = {
  extend: title => `${title} has its full time again.`,
  restart: title => `${title} is restarting.`,
  stop: title => `${title} is stopping. Its files are kept.`,
  start: title => `${title} is starting.`,
  end: title => `${title} was ended.`,
}
const failed: Record<CalledAction, string> = {
  extend: 'Not extended',
  restart: 'Not restarted',
  stop: 'Not stopped',
  start: 'Not started',
  end: 'Not ended',
}

export function sessionActions({ api, live, toasts }: Pick<AppParts, 'api' | 'live' | 'toasts'>): SessionActions {
  const calls: Record<CalledAction, (id: string) => Promise<Session | null>> = {
    extend: id => api.touchSession(id),
    restart: id => api.restartSession(id),
    stop: id => api.stopSession(id),
    start: id => api.startSession(id),
    end: id => api.endSession(id),
  }
  return {
    async run(action, session) {
      const asOf = live.sessions.get().tick
      live.sessions.update(state => pend(state, session.id, expectedStatus[action] ?? null))
      try {
        const answer = await calls[action](session.id)
        if (action === 'end') live.sessions.update(state => gone(state, session.id))
        else if (answer?.id) live.sessions.update(state => pend(fetched(state, [answer], asOf), session.id, null))
        toasts.say(said[action](titleOf(session)))
        return true
      } catch (error) {
        live.sessions.update(state => pend(state, session.id, null))
        toasts.failed(failed[action], error)
        return false
      }
    },
  }
}
