import type { WebSocket } from 'ws'
import { type CloseWord, closeCodes, passableClose } from '#protocol/close-codes.ts'

/** Why a stream is over: what both legs are closed with. Also the reason of its AbortSignal. */
export interface StreamEnd {
  code: number
  reason: string
}

export function ended(word: CloseWord, reason: string = word): StreamEnd {
  return { code: closeCodes[word], reason }
}

/** A socket whose stream is over: let it read again so that the goodbye can come through, and say ours. */
export function closeLeg(ws: WebSocket, end: StreamEnd): void {
  if (ws.isPaused) ws.resume()
  if (ws.readyState === ws.CONNECTING) {
    ws.terminate()
    return
  }
  const { code, reason } = passableClose(end.code, end.reason)
  ws.close(code, reason)
}

/** What a received close event means for the other leg. */
export function endOfClose(code: number, reason: Buffer): StreamEnd {
  return passableClose(code, reason.toString())
}
