/**
 * Every label and annotation we write, and nothing else does: the single source of truth. Objects are found by `managed-by` and `agent`;
 * an object that lacks them is not ours, whatever its name.
 */
import { createHash } from 'node:crypto'
import type { SessionSpec } from '#protocol/session-spec.ts'
import type { KubeObject } from './wire.ts'

export const managedBy = 'porthole-agent'

export const label = {
  managedBy: 'app.kubernetes.io/managed-by',
  /** `session` on everything a session has, `volume` on claims that outlive sessions, `probe` on the self-test's pods. */
  part: 'app.kubernetes.io/component',
  /** Which installation of the agent: several may share a namespace. */
  agent: 'porthole.dev/agent',
  session: 'porthole.dev/session',
  project: 'porthole.dev/project',
  generation: 'porthole.dev/generation',
  kind: 'porthole.dev/kind',
  volume: 'porthole.dev/volume',
} as const

export const annotation = {
  /** Hash of the session spec: tells our own pod from another of its name. */
  specHash: 'porthole.dev/spec-hash',
  /** The host program's settings; a downward-API volume shows them to it as a file. */
  hostSpec: 'porthole.dev/host-spec',
  headless: 'porthole.dev/headless',
  template: 'porthole.dev/template',
  user: 'porthole.dev/user',
  /** On a volume's claim: the session that writes to it now. */
  writer: 'porthole.dev/writer',
  /** The session's name, for people with kubectl. */
  name: 'porthole.dev/name',
  /** Why we gave it up although something of it could still run; it dies by its deadline, so that its logs stay. */
  condemned: 'porthole.dev/condemned',
} as const

export type Part = 'session' | 'volume' | 'probe' | 'task'

/** Label values are `[A-Za-z0-9_.-]`, at most 63, and begin and end with a letter or digit: ids are, other words are made so. */
export function labelValue(text: string): string {
  return text
    .replace(/[^A-Za-z0-9_.-]/g, '-')
    .slice(0, 63)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
}

export function ownLabels(agent: string, part: Part): Record<string, string> {
  return { [label.managedBy]: managedBy, [label.agent]: agent, [label.part]: part }
}

export function sessionLabels(agent: string, session: string, generation: number, spec: SessionSpec): Record<string, string> {
  return {
    ...ownLabels(agent, 'session'),
    [label.session]: session,
    [label.generation]: String(generation),
    [label.project]: labelValue(spec.project),
    [label.kind]: spec.kind,
    ...(spec.volume && { [label.volume]: spec.volume.id }),
  }
}

export function selectorText(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

/** Same hash, same wish: key order does not count. */
export function specHash(spec: SessionSpec): string {
  return createHash('sha256').update(canonical(spec)).digest('hex').slice(0, 32)
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/** Whether `object` carries all of `labels`. */
export function carries(object: KubeObject, labels: Record<string, string>): boolean {
  const has = object.metadata?.labels ?? {}
  return Object.entries(labels).every(([key, value]) => has[key] === value)
}

/** `vol_01abc` -> `vol-01abc`, `ses_01abc` -> `ses-01abc`. */
export function objectName(id: string): string {
  return id.replaceAll('_', '-')
}
