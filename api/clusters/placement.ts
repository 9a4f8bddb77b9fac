/**
 * Which cluster gets a session. Pure: candidates in, a choice with its reason out. Order of the questions: which clusters are meant (name,
 * labels), which of them could ever serve it, which can take it now, which of those is least loaded. Only a request that no change of
 * load or connection could satisfy is `never`; everything else waits in the queue with numbers.
 */
import type { AgentCapabilities } from '#protocol/link-messages.ts'
import type { ResourceAmounts } from '#protocol/session-spec.ts'
import { invalid, Problem } from '../problem.ts'

export interface Candidate {
  id: string
  name: string
  labels: Record<string, string>
  scheduling: 'open' | 'cordoned' | 'draining'
  /** Its agent's link is alive. */
  online: boolean
  /** null: its agent has never connected. */
  capabilities: AgentCapabilities | null
  /** Sessions that hold a place there now. */
  sessions: number
  /** Warm ones: they give way. Absent: unknown. */
  warm?: number
  /** Somebody waits for it already: what room it has, or gets, is theirs first. */
  promised?: boolean
}

export interface PlacementRequest {
  /** Id or name. */
  cluster?: string
  selector?: Record<string, string>
  /** Ids; no other cluster is for whoever asks. */
  only?: string[]
  /** Id of the only cluster that has the volume it needs. */
  volumeAt?: string
  kind: string
  browser?: string
  /** Words of the agent's capabilities: `display`, `volumes`, … */
  features: string[]
  limits: ResourceAmounts
}

/** `wrong`: the field whose value means nothing at all. */
export type Never = { never: string; wrong?: '/cluster' }
export type Placement = { cluster: string } | { queue: string } | Never

/** Ids of those that could serve it, now or when they have room. */
export function couldServe(candidates: readonly Candidate[], request: PlacementRequest): string[] {
  return candidates.filter(each => isMeant(each, request) && lacks(each, request) === null).map(({ id }) => id)
}

export function place(candidates: readonly Candidate[], request: PlacementRequest): Placement {
  const meant = candidates.filter(candidate => isMeant(candidate, request))
  if (meant.length === 0) return nobodyMeant(candidates, request)
  const able = meant.filter(candidate => lacks(candidate, request) === null)
  if (able.length === 0) {
    return { never: sentence('No cluster can serve this', meant, candidate => lacks(candidate, request) ?? '') }
  }
  const ready = able.filter(candidate => busy(candidate) === null)
  if (ready.length === 0) return { queue: sentence('Waiting for room', able, candidate => busy(candidate) ?? '') }
  return { cluster: ready.sort(byLoad)[0]!.id }
}

function isMeant(candidate: Candidate, { cluster, selector, only, volumeAt }: PlacementRequest): boolean {
  if (only !== undefined && !only.includes(candidate.id)) return false
  if (volumeAt !== undefined && candidate.id !== volumeAt) return false
  if (cluster !== undefined && candidate.id !== cluster && candidate.name !== cluster) return false
  return Object.entries(selector ?? {}).every(
    ([key, value]) => Object.hasOwn(candidate.labels, key) && candidate.labels[key] === value,
  )
}

function nobodyMeant(candidates: readonly Candidate[], { cluster, selector, only, volumeAt }: PlacementRequest): Placement {
  if (candidates.length === 0) return { queue: 'No cluster is registered yet.' }
  if (volumeAt !== undefined) {
    const at = candidates.find(candidate => candidate.id === volumeAt)
    return { never: `Its volume is on the cluster ${JSON.stringify(at?.name ?? volumeAt)}, which is not one of those asked for.` }
  }
  const wish = Object.entries(selector ?? {}).map(([key, value]) => `${key}=${value}`)
  const labels = wish.length ? ` with the labels ${wish.join(', ')}` : ''
  if (cluster === undefined) return { never: `There is no cluster${labels}.` }
  const allowed = candidates.filter(({ id }) => only === undefined || only.includes(id))
  return namesNone(allowed, cluster) ?? { never: `There is no cluster ${JSON.stringify(cluster)}${labels}.` }
}

/** A cluster that nobody has, as against one that is not what else was asked for. */
export function namesNone(candidates: readonly { id: string; name: string }[], cluster: string): Never | null {
  if (candidates.some(candidate => candidate.id === cluster || candidate.name === cluster)) return null
  return { never: `There is no cluster ${JSON.stringify(cluster)}.`, wrong: '/cluster' }
}

export const neverProblem = ({ never, wrong }: Never): Problem => (wrong ? invalid(wrong, never) : new Problem('conflict', never))

/** What the cluster will never have for this request; null: nothing. An agent that never connected may have anything. */
function lacks({ capabilities }: Candidate, { kind, browser, features, limits }: PlacementRequest): string | null {
  if (!capabilities) return null
  if (!capabilities.kinds.includes(kind)) return `runs no sessions of kind ${kind}`
  if (browser !== undefined && !capabilities.browsers.includes(browser)) {
    return `has no ${browser} (has ${capabilities.browsers.join(', ') || 'no browser'})`
  }
  const missing = features.filter(feature => !capabilities.features.includes(feature))
  if (missing.length > 0) return `lacks ${missing.join(', ')}`
  const { cpu_millis, memory_bytes, sessions } = capabilities.capacity
  if (cpu_millis !== null && (limits.cpu_millis ?? 0) > cpu_millis) {
    return `has ${cpu_millis} of the ${limits.cpu_millis} millicores it needs`
  }
  if (memory_bytes !== null && (limits.memory_bytes ?? 0) > memory_bytes) {
    return `has ${mebi(memory_bytes)} of the ${mebi(limits.memory_bytes ?? 0)} of memory it needs`
  }
  return sessions === 0 ? 'takes no sessions' : null
}

/** Why the cluster cannot take a session just now; null: it can. */
function busy({ online, scheduling, capabilities, sessions, promised }: Candidate): string | null {
  if (!capabilities) return 'has never connected'
  if (!online) return 'offline'
  if (scheduling !== 'open') return scheduling
  const { capacity } = capabilities
  const full = sessions >= capacity.sessions
  return full || promised ? `${sessions} of ${capacity.sessions} sessions${full ? '' : ', others wait already'}` : null
}

const load = ({ sessions, capabilities }: Candidate) => sessions / Math.max(1, capabilities?.capacity.sessions ?? 1)

/** Least loaded share first, then the one with more room, then by name so that the choice is the same everywhere. */
function byLoad(a: Candidate, b: Candidate): number {
  const room = (c: Candidate) => (c.capabilities?.capacity.sessions ?? 0) - c.sessions
  return load(a) - load(b) || room(b) - room(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)
}

const mebi = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} Mi`

function sentence(head: string, candidates: readonly Candidate[], say: (candidate: Candidate) => string): string {
  const shown = candidates.slice(0, 5).map(candidate => `${candidate.name} ${say(candidate)}`)
  const rest = candidates.length > shown.length ? [`and ${candidates.length - shown.length} more`] : []
  return `${head}: ${[...shown, ...rest].join('; ')}.`
}
