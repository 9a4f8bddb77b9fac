/**
 * How a job's output travels: `POST /v1/agent/jobs/{id}/logs` by the agent, outside of the control link, one request per piece, in order per
 * stream. The API says how far it has come; whoever of the two was killed, the agent asks and goes on from there. No piece is taken twice and
 * none is skipped without a gap being written.
 */
import { z } from 'zod'

/** The length, and the place in the stream, of a gap that nobody knows the length of. */
export const unknownGap = 1

/** Largest body of one piece. */
export const maxLogPiece = 256 * 1024

/** Query of the request; the body is the bytes (none: only asking, or a gap, or the end). */
export const LogPieceQuery = z.object({
  epoch: z.coerce.number().int().positive(),
  attempt: z.coerce.number().int().positive(),
  /** Empty: the job's own output; else `pod/container`. */
  stream: z
    .string()
    .max(320)
    .regex(/^([a-z0-9.-]+\/[a-z0-9.-]+)?$/)
    .default(''),
  /** Place of the body's first byte, or of the gap, in the stream. Absent: only asking how far the API has come. */
  offset: z.coerce.number().int().nonnegative().optional(),
  /** Instead of a body: so many bytes from `offset` on are lost for ever; `unknownGap`: nobody knows how many. */
  gap: z.coerce.number().int().positive().optional(),
  /** Where the source stands after this piece, in the runtime's own words (a timestamp of Kubernetes, …); given back when asked. */
  mark: z.string().max(200).optional(),
  /** `1`: nothing follows. */
  complete: z.enum(['1']).optional(),
})
export type LogPieceQuery = z.infer<typeof LogPieceQuery>

/** 200: taken (or known already). 409 has the same body: the piece did not begin at `next`, go on from there. */
export const LogPieceAnswer = z.object({
  /** The next byte the API wants. */
  next: z.int().nonnegative(),
  mark: z.string().nullable(),
  complete: z.boolean(),
})
export type LogPieceAnswer = z.infer<typeof LogPieceAnswer>
