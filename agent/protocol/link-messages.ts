/**
 * The control link: JSON text messages over one WebSocket that the agent dials (`WS /v1/agent/link`, subprotocol `porthole.link.v1`).
 * Unknown message types are answered with `unsupported` and ignored; unknown fields are dropped. PROTOCOL.md says who sends what when.
 */
import { z } from 'zod'
import { DesiredJob, ObservedJob } from './job-spec.ts'
import { clipboardPolicies, DesiredSession, ObservedSession } from './session-spec.ts'
import { ObservedTerminal, TerminalJob, TerminalTarget } from './terminal-frames.ts'

export const linkSubprotocol = 'porthole.link.v1'
export const protocolVersion = 1

/** Timing of the link, milliseconds. Ordered so that each side acts before the other gives up on it (reliability.md 3.6). */
export const linkTiming = {
  /** Both sides ping this often. */
  ping: 15_000,
  /** The agent redials after this much silence. */
  redial: 40_000,
  /** The API calls the cluster offline after this much silence. */
  offline: 45_000,
  /** `hello` must arrive, and `welcome` must follow, within this. */
  handshake: 5_000,
  /** Full resync although nothing seems wrong. */
  resync: 300_000,
  /** Redial back-off: full jitter from `backoffBase`, doubled, up to `backoffCap`; reset after `stable`. */
  backoffBase: 500,
  backoffCap: 15_000,
  stable: 30_000,
} as const

/** `runtime`: which filling; the rest is what a session may ask for here (see Capabilities of agent/runtimes/runtime.ts). */
export const AgentCapabilities = z.object({
  runtime: z.enum(['local', 'kubernetes']),
  kinds: z.array(z.string()),
  browsers: z.array(z.string()),
  features: z.array(z.string()),
  versions: z.record(z.string(), z.string()),
  notes: z.array(z.string()),
  capacity: z.object({
    sessions: z.int().nonnegative(),
    cpu_millis: z.number().nonnegative().nullable(),
    memory_bytes: z.number().nonnegative().nullable(),
  }),
  /** Job types it takes and how many at one time; absent: none. */
  jobs: z.object({ types: z.array(z.string()), capacity: z.int().nonnegative() }).optional(),
})
export type AgentCapabilities = z.infer<typeof AgentCapabilities>

export const AgentLoad = z.object({
  sessions: z.int().nonnegative(),
  streams: z.int().nonnegative(),
  cpu_millis_used: z.number().nonnegative().nullable(),
  memory_bytes_used: z.number().nonnegative().nullable(),
})
export type AgentLoad = z.infer<typeof AgentLoad>

/** Streams whose bytes pass untouched (`vnc` is looked at by the agent when the role is `view`), and those with frames of their own. */
export const streamKinds = ['vnc', 'playwright', 'cdp', 'port', 'http', 'logs', 'terminal'] as const
export type StreamKind = (typeof streamKinds)[number]
export const streamRoles = ['view', 'control'] as const
export type StreamRole = (typeof streamRoles)[number]

/** What the stream should reach inside the session; the agent checks it against its own policy and the session's spec. */
export const StreamTarget = z.object({
  port: z.int().min(1).max(65535).optional(),
  /** `playwright`, `cdp`: the viewer's headers that matter to the target (user-agent, x-playwright-*). */
  headers: z.record(z.string(), z.string()).optional(),
  /** `http`: the request to the host program; its body follows on the data socket. */
  request: z
    .object({
      method: z.enum(['GET', 'PUT', 'POST', 'DELETE']),
      path: z.string().max(4096),
      headers: z.record(z.string(), z.string()),
    })
    .optional(),
  /** `http` that reaches a volume's archive instead of a session's host; `open.session` is then the volume's id. */
  volume: z.string().optional(),
  /** `logs` */
  logs: z
    .object({
      tail_lines: z.int().nonnegative().optional(),
      follow: z.boolean(),
      container: z.string().optional(),
      /** Of what a job runs: `open.session` is then the job's id. */
      pod: z.string().optional(),
      job: TerminalJob.optional(),
    })
    .optional(),
  /** `terminal` */
  terminal: TerminalTarget.optional(),
})
export type StreamTarget = z.infer<typeof StreamTarget>

// ---- agent -> API -------------------------------------------------------------------------------------------------

export const Hello = z.object({
  type: z.literal('hello'),
  agent_version: z.string(),
  /** Oldest and newest protocol this agent speaks. */
  protocol: z.object({ min: z.int(), max: z.int() }),
  /** New for each process: tells a reconnect from a restart. */
  boot: z.string(),
  capabilities: AgentCapabilities,
  /** Where the last link ended; null on first contact. */
  resume: z.object({ epoch: z.int(), seq: z.int() }).nullable(),
})

/** Everything up to `seq` has been taken over as desired state. */
export const Ack = z.object({ type: z.literal('ack'), seq: z.int().nonnegative() })

/** What is seen. Sent on change (coalesced) and in full after each snapshot; `seq` rises within an epoch. */
export const Report = z.object({
  type: z.literal('report'),
  epoch: z.int(),
  seq: z.int().positive(),
  /** True: `items` is everything this agent has; what is missing does not exist. */
  complete: z.boolean(),
  items: z.array(ObservedSession),
  /** Volumes of `deleted_volumes` whose files are gone. */
  absent_volumes: z.array(z.string()).optional(),
  jobs: z.array(ObservedJob).optional(),
  /** All terminals there are; absent: as before. */
  terminals: z.array(ObservedTerminal).optional(),
  load: AgentLoad,
})

/** A stream that cannot be opened. `status` (HTTP) and `code` become the viewer's problem+json. */
export const Refused = z.object({
  type: z.literal('refused'),
  stream: z.string(),
  status: z.int().min(400).max(599),
  code: z.string(),
  detail: z.string(),
})

export const StreamClosed = z.object({
  type: z.literal('closed'),
  stream: z.string(),
  code: z.int(),
  reason: z.string(),
  bytes_in: z.number().nonnegative(),
  bytes_out: z.number().nonnegative(),
})

/** Every minute and after a reconnect: the streams the agent still carries, so that nobody leaks one. */
export const StreamSync = z.object({ type: z.literal('streams'), streams: z.array(z.string()) })

export const Ping = z.object({ type: z.literal('ping') })
export const Pong = z.object({ type: z.literal('pong') })
export const Unsupported = z.object({ type: z.literal('unsupported'), got: z.string() })

export const AgentMessage = z.discriminatedUnion('type', [
  Hello,
  Ack,
  Report,
  Refused,
  StreamClosed,
  StreamSync,
  Ping,
  Pong,
  Unsupported,
])
export type AgentMessage = z.infer<typeof AgentMessage>

// ---- API -> agent -------------------------------------------------------------------------------------------------

export const Welcome = z.object({
  type: z.literal('welcome'),
  /** Term of this link; an agent that sees a higher one elsewhere is superseded. Must never fall: see PROTOCOL.md. */
  epoch: z.int().positive(),
  cluster: z.object({ id: z.string(), name: z.string() }),
  protocol: z.int(),
})

/** Pages of everything desired; the agent acts (and collects garbage) only after `complete`. */
export const Snapshot = z.object({
  type: z.literal('snapshot'),
  seq: z.int().nonnegative(),
  items: z.array(DesiredSession),
  /** Volumes whose files should be removed; repeated until reported absent. */
  deleted_volumes: z.array(z.string()).optional(),
  jobs: z.array(DesiredJob).optional(),
  /** Terminals that should no longer run; a snapshot names those of the last hour. */
  ended_terminals: z.array(z.string()).optional(),
  complete: z.boolean(),
})

export const Delta = z.object({
  type: z.literal('delta'),
  seq: z.int().nonnegative(),
  items: z.array(DesiredSession),
  deleted_volumes: z.array(z.string()).optional(),
  jobs: z.array(DesiredJob).optional(),
  ended_terminals: z.array(z.string()).optional(),
})

/** The report's facts are committed. */
export const ReportAck = z.object({ type: z.literal('report_ack'), seq: z.int().positive() })

export const Open = z.object({
  type: z.literal('open'),
  stream: z.string(),
  /** Absolute wss URL of the data socket, and the single-use key sent as `Authorization: Bearer`. */
  url: z.string(),
  key: z.string(),
  kind: z.enum(streamKinds),
  role: z.enum(streamRoles),
  session: z.string(),
  target: StreamTarget,
  clipboard: z.enum(clipboardPolicies),
  /** The viewer waits this long for the data socket. */
  deadline_ms: z.int().positive(),
  /** The grant's life unless renewed; the agent ends the stream by itself then. */
  remaining_ms: z.int().positive(),
})
export type Open = z.infer<typeof Open>

export const CloseStream = z.object({ type: z.literal('close'), stream: z.string(), code: z.int(), reason: z.string() })
/** `role` (only `vnc`): what the viewer may do from now on; absent: as before. */
export const Renew = z.object({
  type: z.literal('renew'),
  streams: z.array(z.object({ stream: z.string(), remaining_ms: z.int().positive(), role: z.enum(streamRoles).optional() })),
})
/** The API is going away (a release): dial again soon, streams live on until they end. */
export const Goaway = z.object({ type: z.literal('goaway'), after_ms: z.int().nonnegative() })

export const ApiMessage = z.discriminatedUnion('type', [
  Welcome,
  Snapshot,
  Delta,
  ReportAck,
  Open,
  CloseStream,
  Renew,
  Goaway,
  Ping,
  Pong,
  Unsupported,
])
export type ApiMessage = z.infer<typeof ApiMessage>

/** Largest control message either side accepts, bytes. */
export const maxLinkMessage = 1024 * 1024

/** Largest message of a data stream on the Node platform, bytes: a 30 MB response body is 40 MB once CDP and Playwright have written it in base64. */
export const maxDataMessage = 64 * 1024 * 1024

/** Parses one text message. Unknown `type`: `{unknown}`; malformed JSON or fields: `{malformed}` with what is wrong. */
export function parseLinkMessage<S extends typeof AgentMessage | typeof ApiMessage>(
  schema: S,
  text: string,
): { message: z.infer<S> } | { unknown: string } | { malformed: string } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { malformed: 'not JSON' }
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return { message: parsed.data as z.infer<S> }
  const type = (value as { type?: unknown } | null)?.type
  const known = schema.options.some(option => option.shape.type.value === type)
  if (typeof type === 'string' && !known) return { unknown: type.slice(0, 64) }
  const first = parsed.error.issues[0]
  return { malformed: `${String(type).slice(0, 64)}: ${first?.path.join('.')}: ${first?.message}` }
}
