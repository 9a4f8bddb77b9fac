/** Jobs that make and change things: what `manifest`, `deploy` and `build` are on the wire. Part of job-spec.ts. */
import { z } from 'zod'
import { ResourceAmounts } from './session-spec.ts'

/** Documents applied as one set. The text is checked by the API, and again by the agent before anything is done. */
export const ManifestSpec = z.object({
  type: z.literal('manifest'),
  action: z.enum(['apply', 'delete']),
  /** The name of the set: applying again under it removes what is no longer there. null: the job's own. */
  set: z.string().nullable(),
  yaml: z.string(),
  /** Absent: the project's first on that cluster. */
  namespace: z.string().optional(),
  dry_run: z.boolean(),
  /** Removes what an earlier apply of the set made and this text no longer has. */
  prune: z.boolean(),
  /** Ends once all is healthy; false: once all is applied. */
  wait: z.boolean(),
})
export type ManifestSpec = z.infer<typeof ManifestSpec>

/** New images for what already runs: all of them, or none. */
export const DeploySpec = z.object({
  type: z.literal('deploy'),
  /** `name`, `name/container`, `deployment/name`, `statefulset/name/container` -> image. */
  mappings: z.record(z.string(), z.string()),
  namespace: z.string().optional(),
  dry_run: z.boolean(),
  /** Not ready by then: all go back to what they were. */
  ready_timeout_ms: z.int().positive(),
})
export type DeploySpec = z.infer<typeof DeploySpec>

export const BuildSpec = z.object({
  type: z.literal('build'),
  source: z.object({ kind: z.literal('git'), url: z.string(), ref: z.string().nullable(), subdirectory: z.string().nullable() }),
  /** Relative to the source. */
  dockerfile: z.string(),
  target: z.string().nullable(),
  build_args: z.record(z.string(), z.string()),
  /** Full names, `registry/repository:tag`. */
  tags: z.array(z.string()),
  push: z.boolean(),
  no_cache: z.boolean(),
  /** Says what would be built, and from which commit; builds nothing. */
  dry_run: z.boolean(),
  limits: ResourceAmounts,
})
export type BuildSpec = z.infer<typeof BuildSpec>

/** `DesiredJob.secrets` of a build: logins (`{"host":{"username","password"}}`) of registries, and of the git server. */
export const buildSecrets = { registries: 'registries', git: 'git' } as const
