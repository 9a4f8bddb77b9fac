/** One-time tickets: 256 bits, 30 s, one stream of one session. Only the SHA-256 is stored; redeemed by one guarded UPDATE. */
import { z } from '@hono/zod-openapi'
import { sql } from 'drizzle-orm'
import { tickets } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { newId } from '../ids.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { findSession } from '../sessions/read.ts'
import { hurrySettling } from '../sessions/settling.ts'
import { isSecret, mintSecret } from '../tokens/format.ts'
import { isWithin } from '../tokens/networks.ts'

export const ticketStreams = ['vnc', 'playwright', 'cdp', 'port'] as const
export type TicketStream = (typeof ticketStreams)[number]
export const ticketSeconds = 30

export const TicketCreate = z
  .strictObject({
    stream: z.enum(ticketStreams),
    role: z.enum(['view', 'control']).optional().openapi({ description: 'Only for `vnc`; `control` when absent.' }),
    port: z.int().min(1).max(65535).optional().openapi({ description: 'Only, and always, for `port`.' }),
  })
  .openapi('TicketCreate')

/** How a WebSocket is opened, for the document: looked at by viewer.ts. */
export const upgradeParameters = [
  {
    name: 'ticket',
    in: 'query',
    required: false,
    schema: { type: 'string' },
    description: 'A one-time ticket, where neither a header nor a subprotocol can be sent. A token here is refused.',
  },
  {
    name: 'Sec-WebSocket-Protocol',
    in: 'header',
    required: false,
    schema: { type: 'string' },
    description: '`binary`, and from browsers `ticket.<value>` beside it; `binary` is echoed, the ticket never.',
  },
] satisfies { name: string; in: 'query' | 'header'; required: boolean; schema: { type: 'string' }; description: string }[]

export const Ticket = z
  .object({
    id: z.string().openapi({ description: 'As `viewer`.' }),
    object: z.literal('ticket'),
    ticket: z
      .string()
      .openapi({ description: 'Send it as WebSocket subprotocol `ticket.<value>` beside `binary`, or as `?ticket=`.' }),
    url: z.string(),
    stream: z.enum(ticketStreams),
    role: z.enum(['view', 'control']),
    viewer: z.string().openapi({ description: 'Id that the stream will have, e.g. in `GET …/viewers`.' }),
    created_at: z.string(),
    expires_at: z.string(),
  })
  .openapi('Ticket')

export async function createTicket(ctx: Ctx, sessionId: string, input: z.infer<typeof TicketCreate>) {
  const actor = tokenActor(ctx)
  const { row } = await findSession(ctx, sessionId)
  hurrySettling(ctx, row)
  if ((input.stream === 'port') !== (input.port !== undefined))
    throw invalid('/port', 'A port goes with, and only with, stream "port".')
  if (input.role === 'view' && input.stream !== 'vnc') throw invalid('/role', 'Only vnc streams can be view-only.')
  requireStream(row.spec, input.stream, input.port)
  const role = input.role ?? 'control'
  const secret = mintSecret('tk')
  const viewer = newId('str')
  const [stored] = await ctx.db
    .insert(tickets)
    .values({
      hash: await ctx.sha256(secret),
      session_id: row.id,
      project_id: row.project_id,
      token_id: actor.token,
      user_id: actor.user,
      stream: input.stream,
      role,
      port: input.port ?? null,
      stream_id: viewer,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${ticketSeconds})` as never,
    })
    .returning({ expires_at: tickets.expires_at })
  const path = input.stream === 'port' ? `ports/${input.port}` : input.stream
  return {
    id: viewer,
    object: 'ticket' as const,
    ticket: secret,
    url: `${ctx.origin.replace(/^http/, 'ws')}/v1/sessions/${row.id}/${path}`,
    stream: input.stream,
    role,
    viewer,
    ...ticketTimes(stored!.expires_at),
  }
}

/** What a session never has is told before anything is opened. */
export function requireStream(spec: SessionSpec, stream: TicketStream, port: number | undefined): void {
  if (stream === 'vnc' && spec.headless) throw new Problem('conflict', 'This session is headless: it has no screen.')
  if ((stream === 'playwright' || stream === 'cdp') && spec.kind !== 'browser')
    throw new Problem('conflict', `A ${spec.kind} session has no ${stream} endpoint.`)
  if (port !== undefined && !spec.ports.some(declared => declared.port === port)) throw notFound(`port ${port} of this session`)
}

/** Both by the database's clock. */
export function ticketTimes(expiresAt: Date): { created_at: string; expires_at: string } {
  const created = new Date(expiresAt.getTime() - ticketSeconds * 1000)
  return { created_at: created.toISOString(), expires_at: expiresAt.toISOString() }
}

export interface Redeemed {
  /** The session, or the job, that it reaches into. */
  session: string
  project: string
  user: string
  token: string | null
  link: string | null
  role: 'view' | 'control'
  stream: string | null
}

/** Uses the ticket up, if it is for exactly this stream and whoever made it may still. One 401 for every other cause. */
export async function redeemTicket(
  ctx: Ctx,
  secret: string,
  want: { session: string; stream: TicketStream; port?: number } | { terminal: string; stream: 'terminal' },
): Promise<Redeemed> {
  const refused = new Problem('unauthorized', 'The ticket is unknown, used, expired, or for another stream.')
  if (!isSecret('tk', secret)) throw refused
  const hash = await ctx.sha256(secret)
  const [column, target] = 'terminal' in want ? [tickets.terminal_id, want.terminal] : [tickets.session_id, want.session]
  const port = 'port' in want ? (want.port ?? null) : null
  const rows = await ctx.db.execute<{
    session_id: string | null
    project_id: string
    user_id: string
    token_id: string | null
    link_id: string | null
    role: 'view' | 'control'
    stream_id: string | null
    allowed_cidrs: string[] | null
  }>(sql`
    update tickets set used_at = clock_timestamp()
    where hash = ${hash} and ${sql.identifier(column.name)} = ${target} and stream = ${want.stream} and port is not distinct from ${port}
      and used_at is null and expires_at > clock_timestamp()
      and (token_id is null or exists (
        select 1 from tokens t join projects p on p.id = t.project_id where t.id = tickets.token_id and t.revoked_at is null and p.suspended_at is null
          and (t.expires_at is null or t.expires_at > clock_timestamp()) and (t.grace_until is null or t.grace_until > clock_timestamp())))
    returning session_id, project_id, user_id, token_id, link_id, role, stream_id,
      (select to_jsonb(t.allowed_cidrs) from tokens t where t.id = tickets.token_id) as allowed_cidrs`)
  const row = rows[0]
  if (!row) throw refused
  // Whoever holds a link sits where the link's maker does not.
  if (row.allowed_cidrs && row.link_id === null && !isWithin(ctx.address, row.allowed_cidrs)) throw refused
  return {
    session: row.session_id ?? target,
    project: row.project_id,
    user: row.user_id,
    token: row.token_id,
    link: row.link_id,
    role: row.role,
    stream: row.stream_id,
  }
}
