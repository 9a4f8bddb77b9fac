/** What a session's host program says of itself (docker/host/HOST.md). It runs inside the sandbox, so every field is checked and cut to size. */
import { z } from 'zod'
import { Display } from '#protocol/session-spec.ts'

const word = z.string().max(80)
const sentence = z.string().transform(text => text.slice(0, 600))

export const HostStatus = z.object({
  seq: z.int(),
  state: z.enum(['starting', 'ready', 'ending']),
  reason: sentence.nullable(),
  cause: z.enum(['failed', 'stopped']).nullable(),
  phases: z.array(z.object({ phase: word, at: z.number() })).max(50),
  active_at: z.number().nullable(),
  display: Display.nullable(),
  versions: z.record(word, z.string().max(120)),
  notes: z.array(sentence).max(20),
})
export type HostStatus = z.infer<typeof HostStatus>

/** Null for anything that is not a status. */
export function readHostStatus(line: string): HostStatus | null {
  try {
    return HostStatus.parse(JSON.parse(line))
  } catch {
    return null
  }
}
