/** Which cluster gets a job. Pure: candidates in, a choice with its reason out. What no change of load could ever satisfy is `never`. */

import type { JobType } from '#protocol/job-spec.ts'
import type { AgentCapabilities } from '#protocol/link-messages.ts'
import { type Never, namesNone } from '../clusters/placement.ts'

export interface JobCandidate {
  id: string
  name: string
  labels: Record<string, string>
  scheduling: 'open' | 'cordoned' | 'draining'
  online: boolean
  /** null: its agent has never connected. */
  capabilities: AgentCapabilities | null
  /** Jobs that hold a place there now. */
  jobs: number
}

export interface JobWish {
  type: JobType
  /** Id or name. */
  cluster?: string
  selector?: Record<string, string>
}

export type JobChoice = { cluster: string } | { queue: string } | Never

export function chooseCluster(candidates: readonly JobCandidate[], wish: JobWish): JobChoice {
  if (candidates.length === 0) return { queue: 'No cluster is registered yet.' }
  const meant = candidates.filter(candidate => isMeant(candidate, wish))
  if (meant.length === 0) return nobodyMeant(candidates, wish)
  const able = meant.filter(candidate => lacks(candidate, wish) === null)
  if (able.length === 0) return { never: sentence('No cluster can run this', meant, candidate => lacks(candidate, wish) ?? '') }
  const ready = able.filter(candidate => busy(candidate) === null)
  if (ready.length === 0) return { queue: sentence('Waiting for room', able, candidate => busy(candidate) ?? '') }
  return { cluster: ready.sort(byLoad)[0]!.id }
}

export const jobRoom = (capabilities: AgentCapabilities | null) => capabilities?.jobs?.capacity ?? 0

function isMeant(candidate: JobCandidate, { cluster, selector }: JobWish): boolean {
  if (cluster !== undefined && candidate.id !== cluster && candidate.name !== cluster) return false
  return Object.entries(selector ?? {}).every(
    ([key, value]) => Object.hasOwn(candidate.labels, key) && candidate.labels[key] === value,
  )
}

function nobodyMeant(candidates: readonly JobCandidate[], { cluster, selector }: JobWish): Never {
  const labels = Object.entries(selector ?? {}).map(([key, value]) => `${key}=${value}`)
  const which = labels.length > 0 ? ` with the labels ${labels.join(', ')}` : ''
  if (cluster === undefined) return { never: `There is no cluster${which}.` }
  return namesNone(candidates, cluster) ?? { never: `There is no cluster ${JSON.stringify(cluster)}${which}.` }
}

/** What it will never have; null: nothing. An agent that never connected may have anything. */
function lacks({ capabilities }: JobCandidate, { type }: JobWish): string | null {
  if (!capabilities) return null
  if (!capabilities.jobs || capabilities.jobs.capacity === 0) return 'runs no jobs'
  if (!capabilities.jobs.types.includes(type)) return `runs no jobs of type ${type} (only ${capabilities.jobs.types.join(', ')})`
  return null
}

function busy({ online, scheduling, capabilities, jobs }: JobCandidate): string | null {
  if (!capabilities) return 'has never connected'
  if (!online) return 'offline'
  if (scheduling !== 'open') return scheduling
  const room = jobRoom(capabilities)
  return jobs >= room ? `${jobs} of ${room} jobs` : null
}

function byLoad(a: JobCandidate, b: JobCandidate): number {
  const load = ({ jobs, capabilities }: JobCandidate) => jobs / Math.max(1, jobRoom(capabilities))
  const free = ({ jobs, capabilities }: JobCandidate) => jobRoom(capabilities) - jobs
  return load(a) - load(b) || free(b) - free(a) || (a.id < b.id ? -1 : 1)
}

function sentence(head: string, candidates: readonly JobCandidate[], say: (candidate: JobCandidate) => string): string {
  const shown = candidates.slice(0, 5).map(candidate => `${candidate.name} ${say(candidate)}`)
  const rest = candidates.length > shown.length ? [`and ${candidates.length - shown.length} more`] : []
  return `${head}: ${[...shown, ...rest].join('; ')}.`
}
