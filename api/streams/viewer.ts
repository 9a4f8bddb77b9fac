/**
 * A viewer's WebSocket: who may (a Bearer token with `sessions:connect`, or a one-time ticket; never the cookie, never a token in the URL),
 * what it reaches, and the wait for a session that is still starting.
 */
import type { StreamTarget } from '#protocol/link-messages.ts'
import { unauthorized } from '../auth.ts'
import { type Ctx, holds } from '../context.ts'
import { Problem } from '../problem.ts'
import { findSession, viewOf } from '../sessions/read.ts'
import { waitUntilSettled } from '../sessions/wait.ts'
import { grantStream } from './grant.ts'
import { redeemTicket, requireStream, type TicketStream } from './tickets.ts'

const passedHeaders = [
  'user-agent',
  'x-playwright-browser',
  'x-playwright-launch-options',
  'x-playwright-proxy',
  'x-playwright-debug-log',
]

export async function openViewer(
  ctx: Ctx,
  request: Request,
  sessionId: string,
  stream: TicketStream,
  port?: number,
): Promise<Response> {
  const { offered, ticket } = readUpgrade(request)
  const { viewer, role, id } = ticket !== null ? await byTicket(ctx, ticket, sessionId, stream, port) : byToken(ctx)

  let found = await findSession(viewer, sessionId)
  if (found.row.status === 'starting') {
    const settled = await waitUntilSettled(viewer, viewOf(found, ctx.origin), ctx.config.meetingMs / 1000, request.signal)
    if (settled.status === 'running') found = await findSession(viewer, sessionId)
  }
  requireStream(found.row.spec, stream, port)

  const target: StreamTarget = {
    ...(port === undefined ? {} : { port }),
    ...(stream === 'playwright' || stream === 'cdp' ? { headers: pick(request.headers) } : {}),
  }
  const grant = await grantStream(viewer, found, { kind: stream, role, target, audited: true, ...(id ? { id } : {}) })
  const echo = offered.find(word => word === 'binary') ?? null
  return ctx.tunnel.openViewer(request, grant, echo)
}

/** The subprotocols a viewer offers, and its ticket if it has one. */
export function readUpgrade(request: Request): { offered: string[]; ticket: string | null } {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    throw new Problem('upgrade_required', 'This address speaks WebSocket.', {
      headers: { upgrade: 'websocket', connection: 'Upgrade' },
    })
  }
  const offered = (request.headers.get('sec-websocket-protocol') ?? '')
    .split(',')
    .map(word => word.trim())
    .filter(Boolean)
  const url = new URL(request.url)
  refuseTokenInUrl(url)
  const ticket = offered.find(word => word.startsWith('ticket.'))?.slice('ticket.'.length) ?? url.searchParams.get('ticket')
  return { offered, ticket }
}

function byToken(ctx: Ctx): { viewer: Ctx; role: 'control'; id: null } {
  if (ctx.actor.kind !== 'token') throw unauthorized()
  if (ctx.actor.via === 'cookie')
    throw new Problem('unauthorized', 'Streams are opened with a ticket (POST …/tickets), not with the cookie.')
  if (!holds(ctx.actor, 'sessions:connect')) throw new Problem('forbidden', 'This token lacks the scope sessions:connect.')
  return { viewer: ctx, role: 'control', id: null }
}

async function byTicket(ctx: Ctx, ticket: string, session: string, stream: TicketStream, port: number | undefined) {
  const redeemed = await redeemTicket(ctx, ticket, { session, stream, ...(port === undefined ? {} : { port }) })
  const { role, stream: id, ...holder } = redeemed
  return { viewer: { ...ctx, actor: { kind: 'ticket' as const, ...holder } }, role, id }
}

/** Long-lived secrets in a URL end in logs, history and Referer headers: refused, whatever the parameter is called. */
function refuseTokenInUrl(url: URL): void {
  for (const value of url.searchParams.values()) {
    if (/^vnc-(sk|se|join)-/i.test(value))
      throw new Problem('unauthorized', 'A token in a URL is refused: send it as Authorization: Bearer, or use a ticket.')
  }
}

function pick(headers: Headers): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const name of passedHeaders) {
    const value = headers.get(name)
    if (value !== null) picked[name] = value.slice(0, 8192)
  }
  return picked
}
