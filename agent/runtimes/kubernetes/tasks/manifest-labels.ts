/** How things that were applied for a project are found again. Nobody's manifest can write these labels: the check refuses their prefix. */
import type { ManifestObject } from '#protocol/manifest/check-manifest.ts'
import type { JsonObject } from '#protocol/manifest/rules.ts'
import { carries, label, labelValue, managedBy } from '../labels.ts'
import type { Live } from './place-objects.ts'

const set = 'porthole.dev/set'
const job = 'porthole.dev/job'

export interface Owner {
  agent: string
  project: string
  set: string
  job: string
}

export const isOwnKey = (key: string) => key.startsWith('porthole.dev/') || key === label.managedBy

/** Of the project, whichever set. */
export function ofProject({ agent, project }: Pick<Owner, 'agent' | 'project'>): Record<string, string> {
  return { [label.managedBy]: managedBy, [label.agent]: agent, [label.project]: labelValue(project) }
}

export const ofSet = (owner: Omit<Owner, 'job'>) => ({ ...ofProject(owner), [set]: labelValue(owner.set) })
export const ofJob = (agent: string, id: string) => ({
  [label.managedBy]: managedBy,
  [label.agent]: agent,
  [job]: labelValue(id),
})

/** Not the records of tasks, which are the agent's. */
export const belongsTo = (live: Live, owner: Owner) => carries(live, ofProject(owner)) && !live.metadata?.labels?.[label.part]
export const jobOf = (live: Live) => live.metadata?.labels?.[job] ?? null

/** Pods carry the project and the set, not the job: a new job that changes nothing must not roll anything out anew. */
export function labelled({ body, kind }: ManifestObject, owner: Owner): JsonObject {
  const copy = structuredClone(body)
  addLabels(copy, { ...ofSet(owner), [job]: labelValue(owner.job) })
  if (kind.podSpec && kind.podSpec.length > 1) {
    const template = kind.podSpec.slice(0, -1).reduce((at, step) => at[step] as JsonObject, copy)
    addLabels(template, ofSet(owner))
  }
  return copy
}

function addLabels(object: JsonObject, words: Record<string, string>): void {
  const metadata = (object.metadata ?? {}) as JsonObject
  object.metadata = { ...metadata, labels: { ...((metadata.labels ?? {}) as JsonObject), ...words } }
}
