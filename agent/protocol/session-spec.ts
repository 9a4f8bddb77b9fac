/**
 * What one generation of a session is: everything an agent needs to run it, decided by the API, immutable within a
 * generation (but for a warm one's late settings). Times are never absolute on the wire: ages and remaining durations only, so no two clocks are compared.
 */
import { z } from 'zod'

/** `browser`: Playwright + CDP; `desktop`: a window manager and programs; `app`: any GUI image beside a display. */
export const sessionKinds = ['browser', 'desktop', 'app'] as const
export const browserNames = ['chromium', 'firefox', 'webkit'] as const
export const startUrlWaits = ['none', 'domcontentloaded', 'load'] as const
/** `in`: viewer -> session, `out`: session -> viewer. Enforced by the agent on the RFB bytes. */
export const clipboardPolicies = ['none', 'in', 'out', 'both'] as const
export type ClipboardPolicy = (typeof clipboardPolicies)[number]

export const Display = z.object({ width: z.int().min(320).max(7680), height: z.int().min(240).max(4320) })
export type Display = z.infer<typeof Display>

/** Amounts after the API has parsed Kubernetes quantities: cpu in millicores, memory and storage in bytes. */
export const ResourceAmounts = z.object({
  cpu_millis: z.int().positive().optional(),
  memory_bytes: z.int().positive().optional(),
  storage_bytes: z.int().positive().optional(),
})
export type ResourceAmounts = z.infer<typeof ResourceAmounts>

export const SessionSpec = z.object({
  kind: z.enum(sessionKinds),
  template: z.string(),
  project: z.string(),
  user: z.string(),
  name: z.string().nullable(),
  /** Container image (Kubernetes); a local runtime ignores it and uses the machine's programs. */
  image: z.string().optional(),
  /** Program to run for `desktop` and `app`; absent: the runtime's default for the kind. */
  command: z.array(z.string()).optional(),
  browser: z.enum(browserNames).optional(),
  /** Without a display: no VNC stream, no screen. */
  headless: z.boolean(),
  display: Display,
  start_url: z.string().optional(),
  start_url_wait: z.enum(startUrlWaits),
  env: z.record(z.string(), z.string()),
  labels: z.record(z.string(), z.string()),
  /** Walls of the sandbox or container. */
  limits: ResourceAmounts,
  /** What the scheduler reserves (Kubernetes requests). */
  requests: ResourceAmounts,
  /** Volume whose folder becomes the session's home; absent: files live as long as the session. */
  volume: z.object({ id: z.string(), size_bytes: z.int().positive().optional() }).optional(),
  /** TCP ports of the session that streams of kind `port` may reach, besides the built-in ones. */
  ports: z.array(z.object({ name: z.string(), port: z.int().min(1).max(65535) })),
  /** Whether the agent starts the next attempt itself when the session's programs die. */
  restart: z.enum(['never', 'on_failure']),
  start_timeout_ms: z.int().positive(),
  clipboard: z.enum(clipboardPolicies),
  /** `none`: no network out; `public`: internet but no private ranges; `all`: no wall. Kubernetes only. */
  egress: z.object({ mode: z.enum(['none', 'public', 'all']), allow: z.array(z.string()) }),
  recording: z.boolean(),
})
export type SessionSpec = z.infer<typeof SessionSpec>

/** One session as the API wants it. `deleted` stays in snapshots until the agent has reported it absent. */
export const DesiredSession = z.object({
  kind: z.literal('session'),
  id: z.string(),
  generation: z.int().positive(),
  state: z.enum(['running', 'stopped', 'deleted']),
  /** Absent for `deleted`: nothing has to be known to remove. */
  spec: SessionSpec.optional(),
  /** Milliseconds until the absolute end, counted from the moment the message was sent; null: no end. */
  ttl_remaining_ms: z.number().nullable(),
  /** Ends the session after this long without activity; null: never. */
  idle_timeout_ms: z.number().positive().nullable(),
  /** Rises with every `touch`: a higher number counts as activity. */
  touches: z.int().nonnegative(),
  /** Of a pool, nobody's yet: kept running, no streams. Once it is no longer so, the spec's late settings are to be applied. */
  warm: z.boolean().optional(),
})
export type DesiredSession = z.infer<typeof DesiredSession>

/**
 * What the agent sees of a session. `starting`: being made; `running`: every stream it has can be opened; `stopping`: being ended;
 * `ended`: gone, `cause` says why, files kept; `absent`: gone with its files.
 */
export const observedPhases = ['starting', 'running', 'stopping', 'ended', 'absent'] as const
/** Why a session ended. `stopped`: because the API asked. `failed`: `reason` is a sentence for people. */
export const endCauses = ['stopped', 'ttl', 'idle', 'failed', 'start_timeout'] as const

export const PodView = z.object({
  name: z.string(),
  namespace: z.string(),
  phase: z.string(),
  node: z.string().nullable(),
  ip: z.string().nullable(),
  containers: z.array(
    z.object({
      name: z.string(),
      ready: z.boolean(),
      restarts: z.int(),
      state: z.string(),
      reason: z.string().nullable(),
    }),
  ),
})
export type PodView = z.infer<typeof PodView>

export const ObservedSession = z.object({
  kind: z.literal('session'),
  id: z.string(),
  generation: z.int().positive(),
  phase: z.enum(observedPhases),
  cause: z.enum(endCauses).optional(),
  /** A sentence a person understands; also used while starting ("pulling image …", "0/3 nodes have enough memory"). */
  reason: z.string().optional(),
  /** Timeline of this generation (scheduled, display_ready, browser_ready, …), oldest first; ages in ms. */
  phases: z.array(z.object({ phase: z.string(), age_ms: z.number().nonnegative() })),
  /** Milliseconds since the last activity (viewer input, script traffic, touch); null before the first. */
  idle_ms: z.number().nonnegative().nullable(),
  /** Live size of the display; null when headless or not up yet. */
  display: Display.nullable(),
  /** Version words: `playwright` (client must match its minor), `browser`. */
  versions: z.record(z.string(), z.string()),
  /** Facts people should know, e.g. that Chromium's own sandbox is off and why. */
  notes: z.array(z.string()),
  pod: PodView.nullable(),
  /** `waiting`: of a pool; `settling`: taken from it, its late settings are not in force yet. Absent: a session like any other. */
  warm: z.enum(['waiting', 'settling']).optional(),
})
export type ObservedSession = z.infer<typeof ObservedSession>
