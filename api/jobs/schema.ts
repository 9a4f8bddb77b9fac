/** What goes in and comes out of `/v1/jobs`. These schemas are the OpenAPI document and the dashboard's types. */
import { z } from '@hono/zod-openapi'
import { JobProgress, JobResource, jobCauses, jobTypes } from '#protocol/job-spec.ts'
import { Labels, printable, Resources } from '../sessions/schema.ts'
import { jobStatuses } from './lifecycle.ts'
import { BuildFields, oneSource } from './specs/build.ts'
import { DeployFields } from './specs/deploy.ts'
import { ManifestFields } from './specs/manifest.ts'
import { RunFields, somethingToRun } from './specs/run.ts'

const day = 86_400

/** What every type takes. */
export const jobFields = {
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(printable, 'Must not contain control characters.')
    .nullish()
    .openapi({ description: 'For people; need not be unique.' }),
  cluster: z.string().max(100).nullish().openapi({ description: 'Id or name; absent: the least loaded one that can run it.' }),
  selector: Labels.nullish().openapi({ description: 'Only clusters that carry these labels.' }),
  labels: Labels.nullish(),
  resources: Resources.nullish(),
  priority: z
    .int()
    .min(-10)
    .max(10)
    .nullish()
    .openapi({ description: 'Higher goes first within the project; projects take turns. Default 0.' }),
  timeout_seconds: z
    .int()
    .min(1)
    .max(7 * day)
    .nullish()
    .openapi({ description: 'Longest life of one attempt, from its start. Default 3600.' }),
  grace_seconds: z
    .int()
    .min(0)
    .max(600)
    .nullish()
    .openapi({ description: 'Between the polite signal and the kill when it is canceled. Default 10.' }),
  max_attempts: z
    .int()
    .min(1)
    .max(10)
    .nullish()
    .openapi({ description: 'Attempts made without being asked while it fails. Default 1: work may not bear being done twice.' }),
}

/** One member per type: its own fields in `specs/`, those of all types from here. */
export const JobCreate = z
  .discriminatedUnion('type', [
    z
      .strictObject({ type: z.literal('run'), ...RunFields, ...jobFields })
      .superRefine(somethingToRun)
      .openapi('RunCreate'),
    z
      .strictObject({ type: z.literal('build'), ...BuildFields, ...jobFields })
      .superRefine(oneSource)
      .openapi('BuildCreate'),
    z.strictObject({ type: z.literal('deploy'), ...DeployFields, ...jobFields }).openapi('DeployCreate'),
    z.strictObject({ type: z.literal('manifest'), ...ManifestFields, ...jobFields }).openapi('ManifestCreate'),
  ])
  .openapi('JobCreate')
export type JobCreate = z.infer<typeof JobCreate>

const time = z.string().openapi({ format: 'date-time' })
const cause = z.enum(jobCauses).nullable().openapi({ description: 'Why it ended, for programs.' })
const duration = z.number().nullable().openapi({ description: 'How long the attempt ran.' })

export const JobAttemptView = z
  .object({
    attempt: z.int(),
    cluster: z.string().nullable(),
    status: z.enum(jobStatuses as [string, ...string[]]),
    status_reason: z.string().nullable(),
    cause,
    exit_code: z.int().nullable(),
    duration_seconds: duration,
    started_at: time.nullable(),
    ended_at: time.nullable(),
  })
  .openapi('JobAttempt')

export const Job = z
  .object({
    id: z.string(),
    object: z.literal('job'),
    type: z.enum(jobTypes),
    name: z.string().nullable(),
    project: z.string(),
    user: z.string(),
    status: z.enum(jobStatuses as ['queued', ...('queued' | 'running' | 'succeeded' | 'failed' | 'canceled')[]]),
    status_reason: z.string().nullable(),
    canceling: z.boolean().openapi({ description: 'It was asked to end and has not yet.' }),
    cause,
    exit_code: z.int().nullable(),
    attempt: z.int(),
    max_attempts: z.int(),
    cluster: z.string().nullable().openapi({ description: 'Id; null while it waits in the queue.' }),
    priority: z.int(),
    labels: z.record(z.string(), z.string()),
    limits: z.record(z.string(), z.string()),
    timeout_seconds: z.int(),
    spec: z.record(z.string(), z.unknown()).openapi({ description: 'What was asked for. Secrets are names here, never values.' }),
    progress: JobProgress.nullable(),
    resources: z.array(JobResource).openapi({ description: 'What it made or waits for in its cluster.' }),
    result: z.record(z.string(), z.unknown()).nullable(),
    duration_seconds: duration,
    queue: z.object({ position: z.int(), reason: z.string() }).nullable(),
    created_at: time,
    started_at: time.nullable(),
    ended_at: time.nullable(),
    urls: z.object({ logs: z.string() }),
  })
  .openapi('Job')
export type Job = z.infer<typeof Job>

export const JobWithAttempts = Job.extend({
  attempts: z.array(JobAttemptView).openapi({ description: 'Earlier attempts, oldest first.' }),
}).openapi('JobWithAttempts')
export type JobWithAttempts = z.infer<typeof JobWithAttempts>

export const JobRetry = z
  .strictObject({
    force: z.boolean().optional().openapi({ description: 'Also when it succeeded.' }),
  })
  .openapi('JobRetry')

export const JobFilters = z.object({
  status: z.string().max(200).optional().openapi({ description: 'One or several, comma separated; also `active` and `ended`.' }),
  type: z.string().max(100).optional().openapi({ description: 'One or several, comma separated.' }),
  cluster: z.string().max(100).optional(),
  user: z.string().max(32).optional(),
  name: z.string().max(100).optional(),
  project: z.string().max(64).optional().openapi({ description: 'Admins only.' }),
  labels: z.string().max(1000).optional().openapi({ description: '`key=value,key2=value2`: all must match.' }),
})
export type JobFilters = z.infer<typeof JobFilters>
