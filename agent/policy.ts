/**
 * What this cluster accepts, decided by its operator and by nobody else: it wins over anything the API says. A forbidden session
 * becomes `ended/failed` with the reason, a forbidden stream `refused` with 403.
 */
import type { JobSpec } from '#protocol/job-spec.ts'
import type { Open } from '#protocol/link-messages.ts'
import { imagesOfManifest } from '#protocol/manifest/manifest-images.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'

export interface Policy {
  /** Live sessions at one time. */
  maxSessions: number
  /** Jobs at one time; null: what the runtime finds right. */
  maxJobs: number | null
  /** Longest life of one generation whatever the API says; null: no limit of ours. */
  maxTtlMs: number | null
  /** Session kinds that may run; null: all that the runtime can. */
  kinds: string[] | null
  /** Images that may run, `*` matches anything within; null: all. */
  images: string[] | null
  /** Stream kinds and features switched off here: `cdp`, `port`, `http`, `logs`, `exec` (terminals), `clipboard`, `recording`, … */
  featuresOff: string[]
  /** Largest display; requests beyond are refused at start and clamped when a viewer resizes. */
  maxDisplay: { width: number; height: number }
  maxStreams: number
  maxPendingDials: number
  /** Shells kept at one time. */
  maxTerminals: number
  /** Lets a garbage sweep delete more than half of everything (reliability: the brake). */
  allowMassDelete: boolean
}

export const defaultPolicy: Policy = {
  maxSessions: 100,
  maxJobs: null,
  maxTtlMs: null,
  kinds: null,
  images: null,
  featuresOff: [],
  maxDisplay: { width: 3840, height: 2160 },
  maxStreams: 256,
  maxPendingDials: 32,
  maxTerminals: 64,
  allowMassDelete: false,
}

/** Why this cluster will not do such a job; null when it may. `featuresOff` names `jobs`, or one of their types. */
export function forbiddenJob(policy: Policy, spec: JobSpec): string | null {
  if (policy.featuresOff.includes('jobs')) return 'this cluster does not run jobs'
  if (policy.featuresOff.includes(spec.type)) return `this cluster does not run jobs of type ${spec.type}`
  const { images } = policy
  const refused = images && imagesOf(spec).find(image => !images.some(pattern => matchesPattern(pattern, image)))
  return refused ? `this cluster does not allow the image ${refused}` : null
}

/** Every image that would run here because of it. */
function imagesOf(spec: JobSpec): string[] {
  switch (spec.type) {
    case 'run':
      return spec.image === undefined ? [] : [spec.image]
    case 'deploy':
      return Object.values(spec.mappings)
    case 'manifest':
      return spec.action === 'apply' ? imagesOfManifest(spec.yaml) : []
    case 'build':
      return []
  }
}

/** Why this cluster will not run such a session: a sentence for people; null when it may. */
export function forbiddenSession(policy: Policy, spec: SessionSpec): string | null {
  if (policy.kinds && !policy.kinds.includes(spec.kind)) {
    return `this cluster does not run sessions of kind ${spec.kind} (it allows ${policy.kinds.join(', ') || 'none'})`
  }
  if (policy.images && spec.image !== undefined && !policy.images.some(pattern => matchesPattern(pattern, spec.image!))) {
    return `this cluster does not allow the image ${spec.image}`
  }
  const { width, height } = spec.display
  if (!spec.headless && (width > policy.maxDisplay.width || height > policy.maxDisplay.height)) {
    return `this cluster allows displays up to ${policy.maxDisplay.width}x${policy.maxDisplay.height}, not ${width}x${height}`
  }
  if (spec.recording && policy.featuresOff.includes('recording')) return 'this cluster does not allow recordings'
  return null
}

export interface StreamRefusal {
  status: number
  code: string
  detail: string
}

/** Why this stream may not be opened; null when it may. `spec` is what the session runs with. */
export function forbiddenStream(policy: Policy, open: Open, spec: SessionSpec): StreamRefusal | null {
  const forbidden = (detail: string): StreamRefusal => ({ status: 403, code: 'forbidden', detail })
  if (policy.featuresOff.includes(open.kind)) return forbidden(`this cluster does not allow ${open.kind} streams`)
  if (open.kind === 'terminal' && policy.featuresOff.includes('exec')) return forbidden('this cluster does not allow terminals')
  if (open.role === 'view') {
    if (open.kind === 'playwright' || open.kind === 'cdp' || open.kind === 'port' || open.kind === 'terminal') {
      return forbidden(`a ${open.kind} stream cannot be view-only`)
    }
    if (open.kind === 'http' && open.target.request?.method !== 'GET') return forbidden('a viewer may only read')
  }
  if (open.kind === 'vnc' && spec.headless) {
    return { status: 409, code: 'conflict', detail: 'a headless session has no screen' }
  }
  if (open.kind === 'port' && !spec.ports.some(entry => entry.port === open.target.port)) {
    return { status: 404, code: 'not_found', detail: `the session does not declare port ${open.target.port ?? '(none)'}` }
  }
  return null
}

/** The same of a job: a terminal leads into one, and its pods' output out of it. */
export function forbiddenInJob({ featuresOff }: Policy, { kind, role }: Open): StreamRefusal | null {
  const forbidden = (detail: string): StreamRefusal => ({ status: 403, code: 'forbidden', detail })
  const off = (words: string[]) => words.some(word => featuresOff.includes(word))
  if (kind === 'logs')
    return off(['jobs', 'logs', 'logs_jobs']) ? forbidden('this cluster does not show what jobs left running') : null
  if (kind !== 'terminal' || role !== 'control') return forbidden(`a job has no ${kind} stream`)
  return off(['jobs', 'exec', 'terminal']) ? forbidden('this cluster does not allow terminals in jobs') : null
}

/** The clipboard a stream gets: never more than the session's spec, the stream's grant and the cluster's policy all allow. */
export function clipboardOf(policy: Policy, open: Open, spec: SessionSpec): { in: boolean; out: boolean } {
  const off = open.role === 'view' || policy.featuresOff.includes('clipboard')
  const allows = (way: 'in' | 'out') => !off && [open.clipboard, spec.clipboard].every(word => word === 'both' || word === way)
  return { in: allows('in'), out: allows('out') }
}

function matchesPattern(pattern: string, text: string): boolean {
  const source = pattern
    .split('*')
    .map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${source}$`).test(text)
}
