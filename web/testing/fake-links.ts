/** Share links of the puppet API: made, listed, revoked, and opened by whoever holds one. */
import type { ServerResponse } from 'node:http'
import type { Link } from '../src/api/contract.ts'
import { type Body, empty, json, list, problem } from './answers.ts'
import type { FakeApi, FakeState } from './fake-api.ts'

interface Parts {
  state: FakeState
  screens: FakeApi['screens']
  tickets: Map<string, { session: string; role: string; link?: string }>
  nextId: (prefix: string) => string
  tell: (type: string, more: object) => void
}

export function fakeLinks({ state, screens, tickets, nextId, tell }: Parts) {
  const watching = (link: Link) => (screens.get(link.session) ?? []).filter(screen => screen.link === link.id)
  const shown = (link: Link): Link => ({ ...link, viewers: watching(link).length })

  function owned(method: string, session: string, id: string, body: Body, response: ServerResponse): unknown {
    const own = [...state.links].filter(([, link]) => link.session === session && link.revoked_at === null)
    if (method === 'GET') return json(response, 200, list(own.map(([, link]) => shown(link)).reverse()))
    if (method === 'DELETE') {
      const found = own.find(([, link]) => link.id === id)
      if (!found) return problem(response, 404, 'not_found')
      for (const screen of watching(found[1])) screen.close(4403, 'revoked')
      state.links.delete(found[0])
      return empty(response)
    }
    const secret = `vnc-lk-${nextId('x')
      .replace(/[^0-9a-z]/g, '')
      .padEnd(49, '0')}`
    const link: Link = {
      id: nextId('lnk'),
      object: 'link',
      session,
      role: body.role === 'control' ? 'control' : 'view',
      shared_by: state.me.user,
      max_viewers: typeof body.max_viewers === 'number' ? body.max_viewers : null,
      viewers: 0,
      created_at: new Date().toISOString(),
      expires_at: new Date(Date.now() + Number(body.ttl_seconds) * 1000).toISOString(),
      revoked_at: null,
    }
    state.links.set(secret, link)
    return json(response, 201, { ...link, url: `http://${response.req.headers.host}/join#${secret}` })
  }

  function opened(what: string, body: Body, response: ServerResponse): unknown {
    const link = state.links.get(String(body.link))
    const session = link && state.sessions.get(link.session)
    if (!link || !session || Date.parse(link.expires_at) <= Date.now()) return problem(response, 404, 'not_found')
    const own = watching(link).find(screen => screen.viewer === body.viewer)
    if (what === 'ask' && own && !own.asked_at) {
      own.asked_at = new Date().toISOString()
      tell('session.control_asked', { session_id: session.id, viewer: own.viewer, link: link.id })
    }
    if (what === 'open' || what === 'ask') {
      const { name, template, status, display } = session
      const { role, shared_by, expires_at } = link
      const holder = session.control.viewer
      const role_now = session.control.mode === 'single' && body.viewer && holder !== body.viewer ? 'view' : link.role
      const control = { role_now, control_mode: session.control.mode, asked_at: own?.asked_at ?? null }
      return json(response, 200, {
        object: 'shared_session',
        name,
        template,
        status,
        display,
        role,
        shared_by,
        expires_at,
        ...control,
      })
    }
    if (link.max_viewers !== null && watching(link).length >= link.max_viewers)
      return problem(response, 409, 'conflict', { detail: `This link shows ${link.max_viewers} screens at once, and no more.` })
    const ticket = nextId('tic')
    tickets.set(ticket, { session: session.id, role: link.role, link: link.id })
    const expires_at = new Date(Date.now() + 30_000).toISOString()
    return json(response, 201, {
      object: 'ticket',
      ticket,
      viewer: `str_${ticket}`,
      url: `/v1/sessions/${session.id}/vnc`,
      role: link.role,
      expires_at,
    })
  }

  return { owned, opened }
}
