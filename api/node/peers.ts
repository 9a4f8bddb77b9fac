/**
 * Other replicas of this API. Each beats once in its own row; Postgres says who holds a cluster's link and who waits for a stream. NOTIFY is
 * only ever a hint (polling finds the same); what needs an answer goes over HTTP to the replica's `REPLICA_URL`.
 */
import { timingSafeEqual } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { OpenDatabase } from '#db/client.ts'
import { grants, replicas } from '#db/schema.ts'
import { type CloseWord, closeCodes } from '#protocol/close-codes.ts'
import { type ApiMessage, CloseStream, Open, Refused, Renew } from '#protocol/link-messages.ts'
import type { Log } from '../platform.ts'
import { linkHolder } from '../tunnel/link-store.ts'
import type { OpenHere } from './links.ts'

export const peerPath = '/internal/peer'
const secretHeader = 'x-porthole-peer'
const channel = 'porthole_nudge'
const callMs = 3_000
const maxBody = 4 * 1024 * 1024

const closeWords = Object.keys(closeCodes) as [CloseWord, ...CloseWord[]]

const PeerMessage = z.discriminatedUnion('do', [
  z.object({ do: z.literal('open'), cluster: z.string(), open: Open.omit({ type: true, url: true }) }),
  z.object({ do: z.literal('send'), cluster: z.string(), messages: z.array(z.discriminatedUnion('type', [CloseStream, Renew])) }),
  Refused.omit({ type: true }).extend({ do: z.literal('refused') }),
  z.object({ do: z.literal('recheck'), streams: z.array(z.string()) }),
  z.object({ do: z.literal('end'), streams: z.array(z.string()), word: z.enum(closeWords), reason: z.string().optional() }),
])
export type PeerMessage = z.infer<typeof PeerMessage>

export interface PeersEnv {
  database: OpenDatabase
  replica: string
  /** Shared by all replicas of one installation. */
  secret: string
  log: Log
}

export class Peers {
  private readonly env: PeersEnv
  private unlisten: (() => Promise<void>) | null = null
  /** How others reach this one; null: they do not. */
  private url: string | null = null
  constructor(env: PeersEnv) {
    this.env = env
  }

  /** Makes this replica known and listens for nudges. */
  async start(url: string | null, nudged: (cluster: string) => void): Promise<void> {
    this.url = url
    await this.beat()
    const { unlisten } = await this.env.database.client.listen(channel, nudged)
    this.unlisten = unlisten
  }

  async stop(): Promise<void> {
    await this.unlisten?.()
    await this.env.database.db.delete(replicas).where(eq(replicas.id, this.env.replica))
  }

  async beat(): Promise<void> {
    const { database, replica } = this.env
    await database.db
      .insert(replicas)
      .values({ id: replica, url: this.url })
      .onConflictDoUpdate({ target: replicas.id, set: { url: this.url, seen_at: sql`clock_timestamp()` } })
  }

  /** Rows of replicas that were killed. Whatever was theirs has been released long before. */
  async forgetDead(): Promise<void> {
    await this.env.database.db.delete(replicas).where(sql`${replicas.seen_at} < clock_timestamp() - interval '1 hour'`)
  }

  async notifyNudge(cluster: string): Promise<void> {
    await this.env.database.db.execute(sql`select pg_notify(${channel}, ${cluster})`)
  }

  async open(cluster: string, open: OpenHere): Promise<boolean> {
    return this.toHolder(cluster, { do: 'open', cluster, open })
  }

  async send(cluster: string, messages: Extract<PeerMessage, { do: 'send' }>['messages'] | ApiMessage[]): Promise<boolean> {
    return this.toHolder(cluster, { do: 'send', cluster, messages: messages as never })
  }

  async refused(refused: z.infer<typeof Refused>): Promise<void> {
    const { type: _, ...rest } = refused
    for (const url of (await this.homesOf([refused.stream])).keys()) await this.call(url, { do: 'refused', ...rest })
  }

  /** Answers the streams whose replica could not be told. */
  async end(streams: string[], word: CloseWord, reason?: string): Promise<string[]> {
    const unreached: string[] = []
    const each = async ([url, theirs]: [string, string[]]) => {
      const told = await this.call(url, { do: 'end', streams: theirs, word, ...(reason === undefined ? {} : { reason }) })
      if (!told) unreached.push(...theirs)
    }
    await Promise.all([...(await this.homesOf(streams))].map(each))
    return unreached
  }

  async recheck(streams: string[]): Promise<void> {
    for (const [url, theirs] of await this.homesOf(streams)) await this.call(url, { do: 'recheck', streams: theirs })
  }

  /** The internal door. Null: not ours to answer. */
  async answer(request: Request, handle: (message: PeerMessage) => Promise<boolean>): Promise<Response> {
    const said = Buffer.from(request.headers.get(secretHeader) ?? '')
    const known = Buffer.from(this.env.secret)
    if (request.method !== 'POST' || said.length !== known.length || !timingSafeEqual(said, known))
      return new Response(null, { status: 404 })
    if (Number(request.headers.get('content-length') ?? maxBody + 1) > maxBody) return new Response(null, { status: 413 })
    const parsed = PeerMessage.safeParse(await request.json().catch(() => null))
    if (!parsed.success) return new Response(null, { status: 422 })
    return new Response(null, { status: (await handle(parsed.data)) ? 204 : 409 })
  }

  private async toHolder(cluster: string, message: PeerMessage): Promise<boolean> {
    const holder = await linkHolder(this.env.database.db, cluster)
    if (!holder?.url || holder.replica === this.env.replica) return false
    return this.call(holder.url, message)
  }

  /** Address of the replica behind each stream, without our own. */
  private async homesOf(streams: string[]): Promise<Map<string, string[]>> {
    const rows = await this.env.database.db
      .select({ stream: grants.id, url: replicas.url })
      .from(grants)
      .innerJoin(replicas, eq(replicas.id, grants.replica_id))
      .where(
        sql`${grants.id} in (select jsonb_array_elements_text(${JSON.stringify(streams)}::jsonb)) and ${replicas.id} <> ${this.env.replica}`,
      )
    const byUrl = new Map<string, string[]>()
    for (const { stream, url } of rows) if (url) byUrl.set(url, [...(byUrl.get(url) ?? []), stream])
    return byUrl
  }

  private async call(url: string, message: PeerMessage): Promise<boolean> {
    try {
      const answer = await fetch(new URL(peerPath, url), {
        method: 'POST',
        headers: { [secretHeader]: this.env.secret, 'content-type': 'application/json' },
        body: JSON.stringify(message),
        signal: AbortSignal.timeout(callMs),
      })
      await answer.body?.cancel()
      return answer.status === 204
    } catch (error) {
      this.env.log.warn('peer_unreachable', { url, message: String(error) })
      return false
    }
  }
}
