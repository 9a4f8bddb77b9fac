/** The agent's settings, read once from the environment; every fault is told, not only the first. */
import { join } from 'node:path'
import { z } from 'zod'
import { defaultPolicy, type Policy } from './policy.ts'

const list = z.string().transform(text =>
  text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== ''),
)
const flag = z.enum(['true', 'false', '1', '0']).transform(word => word === 'true' || word === '1')
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const size = z
  .string()
  .regex(/^\d{2,5}x\d{2,5}$/, 'must look like 3840x2160')
  .transform(text => {
    const [width, height] = text.split('x').map(Number)
    return { width: width!, height: height! }
  })

const Environment = z.object({
  PORTHOLE_URL: z.url({ protocol: /^https?$/, error: 'must be the http(s) address of the API' }),
  PORTHOLE_JOIN_TOKEN: z.string().min(1).max(160).optional(),
  PORTHOLE_RUNTIME: z.enum(['local', 'kubernetes']),
  DATA_DIR: z.string().min(1).default('.porthole'),
  PORTHOLE_MAX_SESSIONS: count(1, 10_000).default(defaultPolicy.maxSessions),
  PORTHOLE_MAX_JOBS: count(0, 10_000).optional(),
  PORTHOLE_MAX_TTL_SECONDS: count(1, 366 * 86_400).optional(),
  PORTHOLE_ALLOWED_KINDS: list.optional(),
  PORTHOLE_ALLOWED_IMAGES: list.optional(),
  PORTHOLE_FEATURES_OFF: list.default([]),
  PORTHOLE_MAX_DISPLAY: size.default(defaultPolicy.maxDisplay),
  PORTHOLE_MAX_STREAMS: count(1, 65_536).default(defaultPolicy.maxStreams),
  PORTHOLE_MAX_TERMINALS: count(0, 10_000).default(defaultPolicy.maxTerminals),
  PORTHOLE_ALLOW_MASS_DELETE: flag.default(false),
  /** Where recordings are kept; absent: in DATA_DIR of a local agent, and none in a cluster. */
  PORTHOLE_RECORDINGS_DIR: z.string().min(1).optional(),
  PORTHOLE_MAX_RECORDING_MIB: count(1, 1_048_576).default(1024),
  /** For a supervisor that restarts us: exit after so many seconds without a link. */
  PORTHOLE_EXIT_WITHOUT_LINK_SECONDS: count(10, 86_400).optional(),
  /** Answers a supervisor's probes there; absent: no port at all. */
  PORTHOLE_HEALTH_PORT: count(1, 65_535).optional(),
})

export interface AgentConfig {
  origin: string
  joinToken: string | undefined
  runtime: 'local' | 'kubernetes'
  dataDir: string
  policy: Policy
  /** Folder null: this agent does not record. */
  recordings: { folder: string | null; maxBytes: number }
  giveUpAfterMs: number | null
  healthPort: number | null
}

/** Lists every fault at once, one line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** The settings that `schema` knows; throws ConfigError with a line for each fault. */
export function readEnvironment<T extends z.ZodType>(schema: T, environment: Record<string, string | undefined>): z.infer<T> {
  // An empty variable is a variable nobody set: compose files and charts leave them so.
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const parsed = schema.safeParse(set)
  if (parsed.success) return parsed.data
  const lines = parsed.error.issues.map(issue => {
    const name = String(issue.path[0] ?? '')
    return `  ${name}: ${set[name] === undefined ? 'is not set' : issue.message}`
  })
  throw new ConfigError(`the agent cannot start, its settings are wrong:\n${lines.join('\n')}`)
}

export function readConfig(environment: Record<string, string | undefined>): AgentConfig {
  const env = readEnvironment(Environment, environment)
  return {
    origin: new URL(env.PORTHOLE_URL).origin,
    joinToken: env.PORTHOLE_JOIN_TOKEN,
    runtime: env.PORTHOLE_RUNTIME,
    dataDir: env.DATA_DIR,
    policy: {
      ...defaultPolicy,
      maxSessions: env.PORTHOLE_MAX_SESSIONS,
      maxJobs: env.PORTHOLE_MAX_JOBS ?? null,
      maxTtlMs: env.PORTHOLE_MAX_TTL_SECONDS === undefined ? null : env.PORTHOLE_MAX_TTL_SECONDS * 1000,
      kinds: env.PORTHOLE_ALLOWED_KINDS ?? null,
      images: env.PORTHOLE_ALLOWED_IMAGES ?? null,
      featuresOff: env.PORTHOLE_FEATURES_OFF,
      maxDisplay: env.PORTHOLE_MAX_DISPLAY,
      maxStreams: env.PORTHOLE_MAX_STREAMS,
      maxTerminals: env.PORTHOLE_MAX_TERMINALS,
      allowMassDelete: env.PORTHOLE_ALLOW_MASS_DELETE,
    },
    recordings: {
      folder: env.PORTHOLE_RECORDINGS_DIR ?? (env.PORTHOLE_RUNTIME === 'local' ? join(env.DATA_DIR, 'recordings') : null),
      maxBytes: env.PORTHOLE_MAX_RECORDING_MIB * 2 ** 20,
    },
    giveUpAfterMs: env.PORTHOLE_EXIT_WITHOUT_LINK_SECONDS === undefined ? null : env.PORTHOLE_EXIT_WITHOUT_LINK_SECONDS * 1000,
    healthPort: env.PORTHOLE_HEALTH_PORT ?? null,
  }
}
