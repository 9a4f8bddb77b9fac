/** The tunnel on Workers: one object per cluster holds the link, one per stream joins its two sockets. */

import { inArray } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { grants } from '#db/schema.ts'
import { type CloseWord, closeCodes } from '#protocol/close-codes.ts'
import { linkSubprotocol } from '#protocol/link-messages.ts'
import { unauthorized } from '../auth.ts'
import type { ApiConfig } from '../config.ts'
import type { Log, StreamGrant, Tunnel } from '../platform.ts'
import { notFound, Problem } from '../problem.ts'
import { HttpExchange } from '../tunnel/exchange.ts'
import { closeGrants, joinGrant } from '../tunnel/grants.ts'
import type { LinkAgent } from '../tunnel/link-port.ts'
import { clusterOffline, refusalProblem } from '../tunnel/refusal.ts'
import { type Bindings, edgeReplica } from './bindings.ts'
import { linkHeader, type OpenHere } from './cluster-object.ts'
import { dataSocket } from './data-socket.ts'
import { sha256 } from './sha256.ts'
import { type Refusal, type Side, sideHeader } from './stream-object.ts'

const streamSubprotocol = 'porthole.stream.v1'
/** The object gives up a little later than we would: whoever decides first tells the agent. */
const agentPatienceMs = 5_000
const lookAgainMs = 250
/** How much of the wait for an agent's data socket may go by without a link to ask on. */
const shareForLink = 0.8

export interface EdgeTunnelEnv {
  bindings: Bindings
  db: Db
  config: ApiConfig
  log: Log
  /** Work that outlives the answer. */
  defer(work: Promise<unknown>): void
}

export class EdgeTunnel implements Tunnel {
  readonly home = edgeReplica
  private readonly env: EdgeTunnelEnv
  constructor(env: EdgeTunnelEnv) {
    this.env = env
  }

  async nudge(cluster: string): Promise<void> {
    await this.cluster(cluster).nudge()
  }

  async acceptLink(request: Request, agent: LinkAgent): Promise<Response> {
    const dialled = new URL(request.url).origin.replace(/^http/, 'ws')
    const headers = { upgrade: 'websocket', [linkHeader]: JSON.stringify({ agent, dialled }) }
    const answer = await this.cluster(agent.cluster).fetch('https://cluster/', { headers })
    return switched(answer, linkSubprotocol)
  }

  async acceptData(_request: Request, stream: string, key: string): Promise<Response> {
    const { db } = this.env
    if (!(await joinGrant(db, stream, await sha256(key)))) throw unauthorized()
    const answer = await this.upgrade(stream, 'agent', streamSubprotocol, agentPatienceMs)
    if (answer.webSocket) return switched(answer, streamSubprotocol)
    await closeGrants(db, [{ id: stream, code: closeCodes.no_meeting }])
    throw notFound('stream')
  }

  async openViewer(request: Request, grant: StreamGrant, protocol: string | null): Promise<Response> {
    return switched(await this.meet(grant, protocol, request.signal), protocol)
  }

  async openHttp(grant: StreamGrant, body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Promise<Response> {
    const { webSocket } = await this.meet(grant, null, signal)
    const socket = dataSocket(webSocket!)
    // The agent tells the cluster's object how it ended.
    const ended = () => {}
    return new HttpExchange(socket, body, signal, ended).response
  }

  async recheck(streams: string[]): Promise<void> {
    for (const [cluster, ids] of await this.byCluster(streams)) await this.cluster(cluster).recheck(ids)
  }

  async end(streams: string[], word: CloseWord, reason?: string): Promise<void> {
    for (const [cluster, ids] of await this.byCluster(streams)) await this.cluster(cluster).end(ids, word, reason)
  }

  private async byCluster(streams: string[]): Promise<Map<string, string[]>> {
    const rows = await this.env.db
      .select({ id: grants.id, cluster: grants.cluster_id })
      .from(grants)
      .where(inArray(grants.id, streams))
    return new Map([...Map.groupBy(rows, row => row.cluster)].map(([cluster, theirs]) => [cluster, theirs.map(({ id }) => id)]))
  }

  /** Asks the agent and waits at the stream's object, at most as long as an upgrade is held. */
  private async meet(grant: StreamGrant, protocol: string | null, signal: AbortSignal): Promise<Response> {
    const { db, config, defer } = this.env
    const over = Promise.withResolvers<never>()
    over.promise.catch(() => {})
    const left = () => over.reject(new Problem('bad_request', 'The client left.'))
    signal.addEventListener('abort', left, { once: true })
    const meeting = this.upgrade(grant.id, 'viewer', protocol, config.meetingMs)
    meeting.catch(() => {})
    let asked = false
    try {
      signal.throwIfAborted()
      await Promise.race([this.ask(grant), over.promise])
      asked = true
      const answer = await Promise.race([meeting, over.promise])
      if (answer.webSocket) return answer
      const refusal = (await answer.json()) as Refusal
      // What the agent or we ourselves said needs no goodbye.
      asked = refusal.code === 'target_timeout'
      throw refusalProblem(refusal)
    } catch (error) {
      const word: CloseWord = signal.aborted ? 'going_away' : 'no_meeting'
      // The row first: the agent, once told, would write a reason of its own.
      const closed = closeGrants(db, [{ id: grant.id, code: closeCodes[word] }])
      defer(closed.finally(() => this.giveUp(grant, word, asked)))
      await closed
      throw error
    } finally {
      signal.removeEventListener('abort', left)
    }
  }

  /** An agent that counts as online but has no link is dialling again: after a release it is back within seconds. */
  private async ask(grant: StreamGrant): Promise<void> {
    const { meetingMs } = this.env.config
    for (let tries = (meetingMs * shareForLink) / lookAgainMs; ; tries--) {
      if (await this.cluster(grant.cluster).open(openOf(grant, meetingMs))) return
      if (tries <= 1) throw clusterOffline()
      await new Promise(again => setTimeout(again, lookAgainMs))
    }
  }

  private async giveUp(grant: StreamGrant, word: CloseWord, asked: boolean): Promise<void> {
    await this.stream(grant.id).refuse({ status: 400, code: 'bad_request', detail: word })
    if (asked) await this.cluster(grant.cluster).cancel(grant.id, word)
  }

  private upgrade(stream: string, side: Side, protocol: string | null, patience: number): Promise<Response> {
    const headers = { upgrade: 'websocket', [sideHeader]: JSON.stringify([side, protocol, patience]) }
    return this.stream(stream).fetch('https://stream/', { headers })
  }

  private cluster(id: string) {
    const { CLUSTERS } = this.env.bindings
    return CLUSTERS.get(CLUSTERS.idFromName(id))
  }

  private stream(id: string) {
    const { STREAMS } = this.env.bindings
    return STREAMS.get(STREAMS.idFromName(id))
  }
}

function openOf(grant: StreamGrant, deadline: number): OpenHere {
  return {
    stream: grant.id,
    key: grant.key,
    kind: grant.kind,
    role: grant.role,
    session: grant.session,
    target: grant.target,
    clipboard: grant.clipboard,
    deadline_ms: deadline,
    remaining_ms: grant.remainingMs,
  }
}

/** A new answer around the same socket: the app adds headers of its own. */
function switched(answer: Response, protocol: string | null): Response {
  const headers = new Headers(protocol === null ? {} : { 'sec-websocket-protocol': protocol })
  return new Response(null, { status: 101, webSocket: answer.webSocket, headers })
}
