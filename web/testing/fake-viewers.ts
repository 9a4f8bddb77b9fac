/** Viewers of the puppet API: its open screens, and who of them may type. */
import type { ServerResponse } from 'node:http'
import type { ControlChange, Session, Viewer } from '../src/api/contract.ts'
import { type Body, json, problem } from './answers.ts'
import type { FakeApi, FakeState } from './fake-api.ts'

interface Parts {
  state: FakeState
  screens: FakeApi['screens']
  tellSession: (session: Session) => void
}

export function fakeViewers({ state, screens, tellSession }: Parts) {
  const listOf = (session: Session) => {
    const { mode, viewer: holder } = session.control
    const data = (screens.get(session.id) ?? []).map((screen): Viewer => {
      const mayNow = mode === 'shared' || holder === screen.viewer || (holder === null && screen.link === null)
      return {
        id: screen.viewer,
        object: 'viewer',
        session: session.id,
        via: screen.link ? 'link' : 'token',
        user: 'ada',
        link: screen.link,
        role: screen.role === 'control' && mayNow ? 'control' : 'view',
        granted_role: screen.role === 'control' ? 'control' : 'view',
        address: screen.link ? '203.0.113.9' : '198.51.100.24',
        asked_at: screen.asked_at,
        since: new Date(Date.now() - 95_000).toISOString(),
        created_at: new Date(Date.now() - 95_000).toISOString(),
      }
    })
    return { object: 'list', data: data.reverse(), has_more: false, next_cursor: null, control: session.control }
  }
  return function viewers(id: string, verb: string, body: Body, response: ServerResponse): unknown {
    const session = state.sessions.get(id)
    if (!session) return problem(response, 404, 'not_found')
    if (verb === 'viewers') return json(response, 200, listOf(session))
    for (const screen of screens.get(id) ?? []) screen.asked_at = null
    const { mode, viewer } = body as unknown as ControlChange
    const next: Session = { ...session, control: { mode, viewer: viewer ?? null } }
    tellSession(next)
    return json(response, 200, listOf(next))
  }
}
