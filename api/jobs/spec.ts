/** What the user asked -> what the agent gets. Pure but for one thing that is the types' own: see `specs/`. */
import { type JobSpec, maxJobSpec } from '#protocol/job-spec.ts'
import { Problem } from '../problem.ts'
import { amounts } from '../sessions/spec.ts'
import type { JobCreate } from './schema.ts'
import { buildSpec } from './specs/build.ts'
import { deploySpec } from './specs/deploy.ts'
import { manifestSpec } from './specs/manifest.ts'
import { runSpec } from './specs/run.ts'

export interface BuiltJob {
  spec: JobSpec
  /** As shown. */
  resources: Record<string, string>
  /** What it holds of the project's quotas while a cluster has it. */
  takes: { cpu_millis: number; memory_bytes: number }
}

export function buildJob(input: JobCreate): BuiltJob {
  const resources: Record<string, string> = Object.fromEntries(
    Object.entries(input.resources ?? {}).filter(([, value]) => value !== undefined),
  )
  const limits = amounts(resources, '/resources')
  const spec = specOf(input, limits)
  if (JSON.stringify(spec).length > maxJobSpec)
    throw new Problem('too_large', `A job may be described in ${maxJobSpec / 1024} KiB at most.`)
  return { spec, resources, takes: { cpu_millis: limits.cpu_millis ?? 0, memory_bytes: limits.memory_bytes ?? 0 } }
}

function specOf(input: JobCreate, limits: ReturnType<typeof amounts>): JobSpec {
  switch (input.type) {
    case 'run':
      return runSpec(input, limits)
    case 'build':
      return buildSpec(input, limits)
    case 'deploy':
      return deploySpec(input)
    case 'manifest':
      return manifestSpec(input)
  }
}
