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

/** An image from a Dockerfile in a git repository, or in what was sent; or only a look at it, or at whether a registry takes a login. */
export const BuildSpec = z.object({
  type: z.literal('build'),
  /** `inspect`: branches, and what the Dockerfile takes; builds nothing. `login`: tries `registry`. */
  action: z.enum(['build', 'inspect', 'login']),
  source: z.object({
    url: z.string(),
    /** Branch, tag or commit; null: the default branch. */
    ref: z.string().nullable(),
    subdirectory: z.string().nullable(),
    /** Name of the secret that is the password for the git server. */
    secret: z.string().nullable(),
    /** A tar.gz instead of a repository: the agent gets it by `GET /v1/agent/jobs/{id}/context`. Then `url` is empty. */
    upload: z.object({ id: z.string(), bytes: z.int().positive() }).nullish(),
  }),
  /** Relative to the subdirectory. */
  dockerfile: z.string(),
  target: z.string().nullable(),
  build_args: z.record(z.string(), z.string()),
  /** `host/repository`; null: it gets a local name only. */
  image: z.string().nullable(),
  /** Empty: one made of date and commit. */
  tags: z.array(z.string()),
  push: z.boolean(),
  no_cache: z.boolean(),
  registry: z.string().nullable(),
  limits: ResourceAmounts,
})
export type BuildSpec = z.infer<typeof BuildSpec>

/** Key of `DesiredJob.secrets` under which a build gets its logins: `{"<host>":{"username":…,"password":…}}`. No secret of a user is called so. */
export const registriesSecret = '/registries'
