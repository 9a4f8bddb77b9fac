/** A job's spec as it is kept and as it is shown: the text of a manifest may hold secrets, so in the database it is sealed, and answers leave it out. */

import type { JobSpec } from '#protocol/job-spec.ts'
import type { ApiConfig } from '../config.ts'
import { CannotOpen, sealingOf } from '../sealing.ts'

const placeOf = (project: string) => `manifest ${project}`

export async function keptSpec(config: ApiConfig, project: string, spec: JobSpec): Promise<JobSpec> {
  if (spec.type !== 'manifest') return spec
  return { ...spec, yaml: await sealingOf(config).seal(spec.yaml, placeOf(project)) }
}

/** What the agent gets. A text that cannot be opened any more reaches it as none, and it says so. */
export async function openedSpec(config: ApiConfig, project: string, spec: JobSpec): Promise<JobSpec> {
  if (spec.type !== 'manifest') return spec
  try {
    return { ...spec, yaml: await sealingOf(config).open(spec.yaml, placeOf(project)) }
  } catch (error) {
    if (!(error instanceof CannotOpen) && config.secretsKeys.length > 0) throw error
    return { ...spec, yaml: '' }
  }
}

export function shownSpec(spec: JobSpec): Record<string, unknown> {
  const { type: _, ...rest } = spec
  if (!('yaml' in rest)) return rest
  const { yaml: __, ...shown } = rest
  return shown
}
