/**
 * The seam between the one app and where it runs (`node/`, `workers/`). `createApp(platform)` never asks which; what differs is behind
 * these two interfaces and nowhere else.
 */

import type { Db } from '#db/client.ts'
import type { CloseWord } from '#protocol/close-codes.ts'
import type { StreamKind, StreamRole, StreamTarget } from '#protocol/link-messages.ts'
import type { ClipboardPolicy } from '#protocol/session-spec.ts'
import type { ApiConfig } from './config.ts'

/** What one request may use. On Node the same objects each time; on Workers made per request. */
export interface Services {
  db: Db
  tunnel: Tunnel
  /** SHA-256. Synchronous where the platform can. */
  sha256(data: string | Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Address of the client as far as it can be trusted; for audit and rate limits. */
  address: string
  /** Work that may outlive the answer. */
  defer(work: Promise<unknown>): void
}

export interface Platform {
  config: ApiConfig
  services(request: Request, env: unknown): Services
  /** Figures of this process for `/metrics` and `/v1/monitor/system`. */
  processFigures(): ProcessFigures
  log: Log
}

/** One JSON object a line; values are escaped and cut, secrets redacted, by the platform's sink. */
export interface Log {
  info(event: string, fields?: Record<string, unknown>): void
  warn(event: string, fields?: Record<string, unknown>): void
  error(event: string, fields?: Record<string, unknown>): void
}

export interface ProcessFigures {
  platform: string
  replica: string
  uptime_seconds: number
  memory_bytes: number | null
  cpu_seconds: number | null
  /** Live sockets this process holds. */
  links: number
  streams: number
}

/** A stream that has been granted (row written) and may now be opened. */
export interface StreamGrant {
  id: string
  cluster: string
  session: string
  kind: StreamKind
  /** What the viewer may do now; a tunnel changes it when it has told the agent so. */
  role: StreamRole
  target: StreamTarget
  clipboard: ClipboardPolicy
  /** `mintSecret('st')`: opens the agent's data socket, once. Its SHA-256 is the row's `key_hash`. */
  key: string
  /** Milliseconds the agent may keep the stream without a renewal (which comes every 30 s). */
  remainingMs: number
  /** Milliseconds until its token or link ends by itself, known without asking again; absent: never. */
  lifeMs?: number
}

/**
 * Pairs viewers with agents. All methods that answer with a `Response` may answer an upgrade or a problem; failures are thrown as `Problem`
 * (`cluster_offline`, `target_refused`, `target_timeout`, …) before anything was upgraded.
 */
export interface Tunnel {
  /** Who holds the viewers that this tunnel opens: goes into `grants.replica_id`. */
  readonly home: string
  /** Desired state of the cluster changed (after commit): a hint; polling is the truth. `urgent` false: nobody waits for what its agent does about it. */
  nudge(cluster: string, urgent?: boolean): Promise<void>
  /** An agent's control link; the caller has checked the agent's signature. */
  acceptLink(request: Request, agent: { id: string; cluster: string; clusterName: string }): Promise<Response>
  /** An agent's data socket for a stream, authenticated by its single-use key. */
  acceptData(request: Request, stream: string, key: string): Promise<Response>
  /** A viewer's WebSocket. `protocol`: the subprotocol to echo, if any. Answered only once the session's port answered. */
  openViewer(request: Request, grant: StreamGrant, protocol: string | null): Promise<Response>
  /** The API itself is the far end: an HTTP exchange with the session's host program, or a byte stream of logs. */
  openHttp(grant: StreamGrant, body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Promise<Response>
  /** What the viewers of these streams may do has changed (after commit): a hint; a look every few seconds is the truth. */
  recheck(streams: string[]): Promise<void>
  /** Ends open streams, wherever they are held. */
  end(streams: string[], word: CloseWord, reason?: string): Promise<void>
}
