/** What a pod's host program says of itself (docker/host/HOST.md). It comes out of a pod, so it is hostile until measured. */
import { z } from 'zod'
import { Display } from '#protocol/session-spec.ts'

const text = z.string().transform(value => value.slice(0, 500))
const words = z.record(z.string().max(64), z.string().max(200)).catch({})

export const HostStatus = z.object({
  seq: z.number(),
  state: z.enum(['starting', 'ready', 'ending']),
  reason: text.nullable().catch(null),
  cause: z.enum(['failed', 'stopped']).nullable().catch(null),
  phases: z
    .array(z.object({ phase: z.string().max(64), at: z.number() }))
    .transform(list => list.slice(-50))
    .catch([]),
  active_at: z.number().nullable().catch(null),
  display: Display.nullable().catch(null),
  versions: words,
  notes: z
    .array(text)
    .transform(list => list.slice(-20))
    .catch([]),
})
export type HostStatus = z.infer<typeof HostStatus>

/** null: not a status (another program's last words, or none). */
export function parseHostStatus(source: string): HostStatus | null {
  try {
    const parsed = HostStatus.safeParse(JSON.parse(source))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** The same with its times on our clock. */
export function onOurClock(status: HostStatus, offset: number): HostStatus {
  if (offset === 0) return status
  return {
    ...status,
    phases: status.phases.map(({ phase, at }) => ({ phase, at: at - offset })),
    active_at: status.active_at === null ? null : status.active_at - offset,
  }
}
