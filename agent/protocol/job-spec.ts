/**
 * What a job is on the wire: work with an end. The API decides everything here, immutable within an attempt; the agent makes attempt N exist
 * once, tells how it goes, and never begins it again. `type` says which executor takes it. Times are ages and durations, never absolute.
 */
import { z } from 'zod'
import { ResourceAmounts } from './session-spec.ts'
import { BuildSpec, DeploySpec, ManifestSpec } from './works-spec.ts'

export const jobTypes = ['run', 'build', 'deploy', 'manifest'] as const
export type JobType = (typeof jobTypes)[number]

/** Types that leave something behind which `deleted` undoes; a job of another type that was let go of is gone. */
export const undoableTypes: readonly JobType[] = ['manifest']

/** Largest spec, as JSON; several travel in one link message. */
export const maxJobSpec = 384 * 1024

/** A command in an image (Kubernetes) or in a sandbox of the machine (local, which ignores the image). */
export const RunSpec = z.object({
  type: z.literal('run'),
  image: z.string().optional(),
  /** Program and arguments. Absent: what the image says; a local runtime needs it. */
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  working_dir: z.string().optional(),
  env: z.record(z.string(), z.string()),
  /** Variable -> name of a secret; the values travel in `DesiredJob.secrets`. */
  secret_env: z.record(z.string(), z.string()),
  limits: ResourceAmounts,
  requests: ResourceAmounts,
  /** As for sessions. Kubernetes only. */
  egress: z.object({ mode: z.enum(['none', 'public', 'all']), allow: z.array(z.string()) }),
})
export type RunSpec = z.infer<typeof RunSpec>

/** Every type the wire knows; a new one is added here and as an executor of a `JobRuntime`. */
export const JobSpec = z.discriminatedUnion('type', [RunSpec, BuildSpec, DeploySpec, ManifestSpec])
export type JobSpec = z.infer<typeof JobSpec>

/**
 * `running`: attempt N should run to its end (or has). `canceled`: end it now. `finished`: its end is committed and its log taken: let go of
 * what was kept for it (pod, spool), keep what it made. `deleted`: as `finished`, and undo what it made (a manifest's objects); answered by
 * phase `absent`, as `finished` is.
 */
export const desiredJobStates = ['running', 'canceled', 'finished', 'deleted'] as const
export type DesiredJobState = (typeof desiredJobStates)[number]

export const DesiredJob = z.object({
  id: z.string(),
  attempt: z.int().positive(),
  state: z.enum(desiredJobStates),
  /** The API has heard of this attempt before: if nothing of it is there, it was lost, and must not be begun again. */
  seen: z.boolean(),
  project: z.string(),
  user: z.string(),
  labels: z.record(z.string(), z.string()),
  /** Absent for `finished`. */
  spec: JobSpec.optional(),
  /** Values of the secrets the spec names, by name; only while it may run. Never written into logs or reports. */
  secrets: z.record(z.string(), z.string()).optional(),
  /** Longest life of the attempt, counted from its own start. */
  timeout_ms: z.int().positive(),
  /** Between the polite signal and the kill. */
  grace_ms: z.int().nonnegative(),
})
export type DesiredJob = z.infer<typeof DesiredJob>

/** `starting`: being made (reason says what it waits for); `running`; `stopping`; `ended`: `outcome` is set; `absent`: nothing of it is left. */
export const observedJobPhases = ['starting', 'running', 'stopping', 'ended', 'absent'] as const
export const jobOutcomes = ['succeeded', 'failed', 'canceled'] as const
export type JobOutcome = (typeof jobOutcomes)[number]
/** Why it ended, for programs. `exit`: by its own exit code; `lost`: it vanished, nobody knows how it went. */
export const jobCauses = [
  'exit',
  'signal',
  'deadline',
  'canceled',
  'out_of_memory',
  'start',
  'refused',
  'lost',
  'agent_stopped',
] as const
export type JobCause = (typeof jobCauses)[number]

export const JobProgress = z.object({ percent: z.number().min(0).max(100).nullable(), step: z.string().max(300) })
export type JobProgress = z.infer<typeof JobProgress>

/** One thing a job made or waits for in its cluster. */
export const JobResource = z.object({
  kind: z.string().max(100),
  name: z.string().max(253),
  namespace: z.string().max(253).nullable(),
  state: z.string().max(64),
  reason: z.string().max(1000).nullable(),
})
export type JobResource = z.infer<typeof JobResource>

export const ObservedJob = z.object({
  id: z.string(),
  attempt: z.int().positive(),
  phase: z.enum(observedJobPhases),
  outcome: z.enum(jobOutcomes).optional(),
  cause: z.enum(jobCauses).optional(),
  exit_code: z.int().nullable(),
  /** All of its output has been taken, or none will ever come: what was kept for it may go. */
  log_complete: z.boolean(),
  /** A sentence for people. */
  reason: z.string().max(2000).optional(),
  /** Since it began to run; null: it has not. */
  started_age_ms: z.number().nonnegative().nullable(),
  /** How long it ran; null: it still does, or never did. */
  duration_ms: z.number().nonnegative().nullable(),
  progress: JobProgress.nullable(),
  resources: z.array(JobResource).max(500),
  /** Small facts for people and scripts: image digest, tags, … */
  result: z.record(z.string(), z.unknown()).nullable(),
})
export type ObservedJob = z.infer<typeof ObservedJob>

/** `job_01abc` + 2 -> `job-01abc-a2`: the name of everything made for this attempt. */
export function attemptName(job: string, attempt: number): string {
  return `${job.replace('_', '-')}-a${attempt}`
}

/** Names of the secrets a spec needs the values of. */
export function secretNamesOf(spec: JobSpec): string[] {
  if (spec.type === 'build') return spec.source.secret === null ? [] : [spec.source.secret]
  return spec.type === 'run' ? [...new Set(Object.values(spec.secret_env))] : []
}
