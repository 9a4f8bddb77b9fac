/** A WebSocket that the Worker itself speaks through (files, logs, screenshots): the far end of an agent's data socket. */
import { passableClose } from '#protocol/close-codes.ts'
import type { DataSocket } from '../tunnel/exchange.ts'

/**
 * workerd can neither say what is buffered nor stop reading: both directions rely on the credit of the protocol, so that at most one window is
 * held here however slow the reader.
 */
export function dataSocket(ws: WebSocket): DataSocket {
  let closed = false
  let ended: (code: number, reason: string) => void = () => {}
  const over = (code: number, reason: string) => {
    if (closed) return
    closed = true
    ended(code, reason)
  }
  ws.binaryType = 'arraybuffer'
  ws.addEventListener('close', event => over(event.code, event.reason))
  ws.addEventListener('error', () => over(1006, 'connection lost'))
  return {
    async send(data) {
      if (closed) return
      try {
        ws.send(data)
      } catch {
        // Closed meanwhile.
      }
    },
    close(code, reason) {
      const passed = passableClose(code, reason)
      try {
        ws.close(passed.code, passed.reason)
      } catch {
        // Closed already.
      }
    },
    onMessage(take) {
      ws.addEventListener('message', ({ data }) => take(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer)))
      ws.accept()
    },
    onClose(told) {
      ended = told
    },
  }
}
