/** Row -> the JSON of a session. What is not known is said: a session of an offline cluster is `unreachable`, never guessed. */
import type { InferSelectModel } from 'drizzle-orm'
import type { sessions } from '#db/schema.ts'
import { isFinal } from './lifecycle.ts'
import type { Session } from './schema.ts'

export type SessionRow = InferSelectModel<typeof sessions>

export interface Around {
  /** Whether the session's cluster has a live link now. */
  online: boolean
  /** Place in its queue, from 1; only while queued. */
  position: number | null
  /** Scheme and host users see, e.g. `https://porthole.example`. */
  origin: string
}

const iso = (at: Date | null) => at?.toISOString() ?? null

export function sessionView(row: SessionRow, around: Around): Session {
  const { spec } = row
  const unreachable = !around.online && ['starting', 'running', 'stopping'].includes(row.status)
  const ws = `${around.origin.replace(/^http/, 'ws')}/v1/sessions/${row.id}`
  const browser = spec.kind === 'browser'
  const idleFrom = row.last_activity_at ?? row.started_at
  const idles = row.idle_timeout_seconds !== null && row.status === 'running' && idleFrom !== null
  return {
    id: row.id,
    object: 'session',
    name: row.name,
    project: row.project_id,
    user: row.user_id,
    template: row.template_id,
    kind: spec.kind,
    browser: spec.browser ?? null,
    headless: spec.headless,
    start_url: spec.start_url ?? null,
    cluster: row.cluster_id,
    status: unreachable ? 'unreachable' : row.status,
    status_reason: unreachable
      ? `The cluster is offline; the session was ${row.status} when it was last heard of.`
      : row.status_reason,
    phases: row.phases,
    generation: row.generation,
    display: spec.headless ? null : (row.display ?? spec.display),
    resources: row.resources,
    labels: row.labels,
    volume: spec.volume?.id ?? null,
    pool: row.pool_id,
    clipboard: spec.clipboard,
    egress: spec.egress,
    recording: spec.recording,
    control: { mode: row.control, viewer: row.control === 'single' ? row.control_holder : null },
    created_at: row.created_at.toISOString(),
    started_at: iso(row.started_at),
    ended_at: iso(row.ended_at),
    ttl_seconds: row.ttl_seconds,
    idle_timeout_seconds: row.idle_timeout_seconds,
    expires_at: iso(row.expires_at),
    idle_expires_at: idles ? new Date(idleFrom.getTime() + row.idle_timeout_seconds! * 1000).toISOString() : null,
    last_activity_at: iso(row.last_activity_at),
    termination_reason: isFinal(row.status) ? row.termination_reason : null,
    queue: row.status === 'queued' ? { position: around.position ?? 1, reason: row.status_reason ?? 'Waiting for room.' } : null,
    pod: row.pod,
    versions: row.versions,
    notes: row.notes,
    urls: {
      view: `${around.origin}/sessions/${row.id}`,
      vnc: spec.headless ? null : `${ws}/vnc`,
      playwright: browser ? `${ws}/playwright` : null,
      cdp: browser && (spec.browser ?? 'chromium') === 'chromium' ? `${ws}/cdp` : null,
    },
  }
}
