/** WebSocket close codes of every Porthole socket: HTTP's sense + 4000. The word travels as the close reason. */
export const closeCodes = {
  normal: 1000,
  going_away: 1001,
  too_big: 1009,
  internal: 1011,
  protocol: 4400,
  token_ended: 4401,
  revoked: 4403,
  unknown_stream: 4404,
  timeout: 4408,
  superseded: 4409,
  target_ended: 4410,
  too_many: 4429,
  target_refused: 4502,
  cluster_offline: 4503,
  no_meeting: 4504,
  stalled: 4508,
} as const
export type CloseWord = keyof typeof closeCodes

/** An end of a stream or link with its wire code; thrown inside, closed with outside. */
export class WireError extends Error {
  readonly word: CloseWord
  constructor(word: CloseWord, detail?: string) {
    super(detail ?? word)
    this.name = 'WireError'
    this.word = word
  }
  get code(): number {
    return closeCodes[this.word]
  }
}

/** Codes a peer may not send (1004..1006, 1015) are mapped to what they mean; reasons are cut to RFC 6455's 123 bytes. */
export function passableClose(code: number, reason: string): { code: number; reason: string } {
  const reserved = code === 1004 || code === 1006 || code < 1000 || (code > 1014 && code < 3000) || code > 4999
  const sent = code === 1005 ? 1000 : reserved ? 1011 : code
  const bytes = new TextEncoder().encode(reason)
  if (bytes.length <= 123) return { code: sent, reason }
  return { code: sent, reason: new TextDecoder().decode(bytes.subarray(0, 120)).replace(/\uFFFD+$/u, '') }
}
