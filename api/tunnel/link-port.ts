/** What the control link needs from the world around it. Filled with real sockets and Postgres at the rim, by hand in tests. */

import type { DesiredJob, ObservedJob } from '#protocol/job-spec.ts'
import type { AgentCapabilities, AgentLoad, AgentMessage } from '#protocol/link-messages.ts'
import type { DesiredSession, ObservedSession } from '#protocol/session-spec.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import type { Log } from '../platform.ts'

export interface LinkSocket {
  /** Resolves once the text has left our own buffers; the link sends its next page only then. Never rejects. */
  send(text: string): Promise<void>
  close(code: number, reason: string): void
  /** `take` resolves when the message is dealt with: a socket that can stop reading does while too many are not. */
  onMessage(take: (text: string) => Promise<void>): void
  /** Called once, whoever closed. */
  onClose(ended: (code: number, reason: string) => void): void
}

/** Who dialled, after its signature was checked. */
export interface LinkAgent {
  id: string
  cluster: string
  clusterName: string
}

export interface LinkStore {
  /** Takes the next epoch, fenced by the agent's id; null when the agent is not (or no longer) the cluster's. */
  begin(agent: LinkAgent, facts: { agentVersion: string; capabilities: AgentCapabilities }): Promise<number | null>
  /** The link of `epoch` is over; does nothing when a newer one has come. */
  end(cluster: string, epoch: number): Promise<void>
  /** What the cluster's row says now; null when it is gone. */
  state(cluster: string): Promise<ClusterState | null>
}

/** The part of a cluster's row that a link polls. */
export interface ClusterState extends LinkHolder {
  cluster: string
  seq: number
}

/** Whose link of the cluster counts. */
export interface LinkHolder {
  agent: string | null
  epoch: number
}

export interface DesiredPage {
  /** As of the same moment; null: the cluster is gone. */
  holder: LinkHolder | null
  items: DesiredSession[]
  /** Volumes whose files should go; a page may repeat what one before it said. */
  deletedVolumes: string[]
  /** Terminals that should no longer run. */
  endedTerminals?: string[]
  jobs: DesiredJob[]
  /** Everything up to here is in this page or the ones before. */
  seq: number
  complete: boolean
}

export interface LinkReport {
  cluster: string
  epoch: number
  seq: number
  complete: boolean
  items: ObservedSession[]
  absentVolumes: string[]
  terminals?: ObservedTerminal[] | undefined
  jobs: ObservedJob[]
  load: AgentLoad
}

/** What an agent says about streams; they live beside the link, not in it. */
export type StreamMessage = Extract<AgentMessage, { type: 'refused' | 'closed' | 'streams' }>

export interface LinkDeps {
  /** Milliseconds, never going back. */
  now(): number
  store: LinkStore
  /** Items changed after `seq` (0: all), oldest change first. */
  desired(cluster: string, seq: number, limit: number): Promise<DesiredPage>
  report(report: LinkReport): Promise<{ applied: boolean; settled: string[] }>
  /** Sessions and jobs that ended or are gone: there may be room now. */
  settled(cluster: string, ids: string[]): void
  streams(cluster: string, message: StreamMessage): void
  /** True for failures that pass by themselves (the database is away). */
  passing(error: unknown): boolean
  /** Waits before a failed report is tried again; rejects when the link ended. */
  pause(ms: number, signal: AbortSignal): Promise<void>
  log: Log
}
