/** Live resize: asks the session's host, which clamps and answers the size it really got. */
import { Display } from '#protocol/session-spec.ts'
import type { Ctx } from '../context.ts'
import { Problem } from '../problem.ts'
import { askHost } from '../streams/host-exchange.ts'
import { findSession } from './read.ts'

export async function resizeDisplay(ctx: Ctx, id: string, display: Display, signal: AbortSignal): Promise<Display> {
  const { row } = await findSession(ctx, id)
  if (row.spec.headless) throw new Problem('conflict', 'This session is headless: it has no display to resize.')
  const body = new TextEncoder().encode(JSON.stringify(display))
  const request = {
    method: 'POST' as const,
    path: '/display',
    headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
  }
  const answer = await askHost(ctx, id, { request, body: new Blob([body]).stream() }, signal)
  return Display.parse(await answer.json())
}
