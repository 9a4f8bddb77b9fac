/** Share links: their owner's calls, and those of whoever holds one. */
import type { Link, LinkCreate, LinkWithUrl, List, SharedSession, Ticket } from './contract.ts'
import type { Http } from './http.ts'

export function linkCalls({ json, maybe }: Http) {
  const links = (session: string, rest = '') => `/v1/sessions/${encodeURIComponent(session)}/links${rest}`
  return {
    links: (session: string, signal?: AbortSignal) => json<List<Link>>(links(session), { ...(signal ? { signal } : {}) }),
    createLink: (session: string, body: LinkCreate) => json<LinkWithUrl>(links(session), { method: 'POST', body }),
    revokeLink: (session: string, id: string) => maybe(links(session, `/${encodeURIComponent(id)}`), { method: 'DELETE' }),
    /** The link is the key: no account is needed, and none is used. */
    openLink: (link: string, viewer: string | null, signal: AbortSignal) =>
      json<SharedSession>('/v1/links/open', { method: 'POST', body: { link, ...(viewer ? { viewer } : {}) }, signal }),
    askForControl: (link: string, viewer: string) =>
      json<SharedSession>('/v1/links/ask', { method: 'POST', body: { link, viewer } }),
    linkTicket: (link: string) => json<Ticket>('/v1/links/tickets', { method: 'POST', body: { link } }),
  }
}
