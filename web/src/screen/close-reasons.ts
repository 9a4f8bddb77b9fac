/** Why a screen ended, in words, and whether to try again by itself. The codes are design.md's: HTTP's sense + 4000. */
export interface CloseReason {
  words: string
  /** `retry`: by itself with back-off; `slowly`: by itself, but not soon; `stop`: only when the user asks. */
  again: 'retry' | 'slowly' | 'stop'
}

const byCode: Record<number, CloseReason> = {
  1000: { words: 'The stream ended.', again: 'retry' },
  1001: { words: 'The server is going away, probably for an update.', again: 'retry' },
  1009: { words: 'A message was too big.', again: 'retry' },
  1011: { words: 'Something failed on the way.', again: 'retry' },
  4400: { words: 'The two ends do not understand each other.', again: 'stop' },
  4401: { words: 'Your sign-in or its token has ended.', again: 'stop' },
  4403: { words: 'Your access was taken back.', again: 'stop' },
  4404: { words: 'The session does not know this stream.', again: 'slowly' },
  4408: { words: 'It took too long.', again: 'retry' },
  4409: { words: 'Another viewer took over.', again: 'stop' },
  4410: { words: 'The screen behind it ended.', again: 'retry' },
  4429: { words: 'Too many viewers or streams are open.', again: 'slowly' },
  4502: { words: 'The session refused the connection.', again: 'retry' },
  4503: { words: 'The cluster is offline.', again: 'retry' },
  4504: { words: 'The agent did not answer in time.', again: 'retry' },
  4508: { words: 'The connection stalled: too slow to follow.', again: 'retry' },
}

export function closeReason(code: number): CloseReason {
  const known = byCode[code]
  if (known) return known
  // 1006: no close frame at all. Refused at the door and a cut cable look the same to a page.
  return {
    words: code === 1006 || code === 1005 ? 'The connection was lost.' : `The connection ended (code ${code}).`,
    again: 'retry',
  }
}
