/** What wrangler.toml gives the Worker, and the settings read from it. Parsed once for each isolate; nothing below reads the bindings' words. */
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { ApiConfig } from '../config.ts'
import type { ClusterObject } from './cluster-object.ts'
import type { KeeperObject } from './keeper-object.ts'
import type { StreamObject } from './stream-object.ts'

export interface Bindings {
  HYPERDRIVE: { connectionString: string }
  ASSETS: { fetch(request: Request): Promise<Response> }
  CLUSTERS: DurableObjectNamespace<ClusterObject>
  STREAMS: DurableObjectNamespace<StreamObject>
  KEEPER: DurableObjectNamespace<KeeperObject>
  /** What users see: objects wake without a request that could tell. */
  PUBLIC_URL: string
  ALLOWED_ORIGINS?: string
  /** `PREFIX:TAG` of the agent's images, for the install command. */
  AGENT_IMAGES?: string
  /** A secret: what stored secrets are sealed with; to replace it, `new,old`. */
  SECRETS_KEY?: string
  /** How long the audit is kept; absent: a year and a month. */
  AUDIT_DAYS?: string
  /** Milliseconds an upgrade is held for. */
  MEETING_MS?: string
}

/** Each look is a query through Hyperdrive, and CPU time of the request that reads. */
const eventPollMs = 1_000

/** All Workers and objects are one holder of links and streams: which of them it is follows from the name of the cluster or stream. */
export const edgeReplica = 'edge'

const list = z
  .string()
  .default('')
  .transform(text =>
    text
      .split(',')
      .map(word => word.trim())
      .filter(Boolean),
  )

const Words = z.object({
  PUBLIC_URL: z.string({ error: 'must be set: the address that users see' }),
  ALLOWED_ORIGINS: list,
  SECRETS_KEY: list,
  AGENT_IMAGES: z.string().optional(),
  MEETING_MS: z.coerce.number().int().min(100).max(30_000).optional(),
})

export function readBindings(bindings: Bindings): ApiConfig {
  const { PUBLIC_URL, ALLOWED_ORIGINS, SECRETS_KEY, AGENT_IMAGES, MEETING_MS } = Words.parse(bindings)
  return ApiConfig.parse({
    publicUrl: PUBLIC_URL,
    allowedOrigins: ALLOWED_ORIGINS,
    secretsKeys: SECRETS_KEY,
    ...(AGENT_IMAGES ? { agentImages: AGENT_IMAGES } : {}),
    ...(MEETING_MS === undefined ? {} : { meetingMs: MEETING_MS }),
    eventPollMs,
    version: packageJson.version,
  })
}

export function auditDays({ AUDIT_DAYS }: Bindings): { auditDays?: number } {
  return AUDIT_DAYS ? { auditDays: z.coerce.number().int().min(1).parse(AUDIT_DAYS) } : {}
}
