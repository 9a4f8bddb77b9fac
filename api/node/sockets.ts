/** `ws` sockets as the ports that the portable part speaks to. */
import type { WebSocket } from 'ws'
import { passableClose } from '#protocol/close-codes.ts'
import type { DataSocket } from '../tunnel/exchange.ts'
import type { LinkSocket } from '../tunnel/link-port.ts'

/** More messages than this not dealt with: stop reading. */
const maxPending = 16

export function linkSocket(ws: WebSocket): LinkSocket {
  return {
    send: text => new Promise(sent => ws.send(text, { binary: false, compress: false }, () => sent())),
    close: (code, reason) => closeSocket(ws, code, reason),
    onMessage(take) {
      let pending = 0
      ws.on('message', (data, binary) => {
        if (binary) return closeSocket(ws, 4400, 'protocol: text only')
        if (++pending >= maxPending) ws.pause()
        void take(data.toString()).finally(() => {
          if (--pending < maxPending && ws.isPaused) ws.resume()
        })
      })
    },
    onClose: ended => onceClosed(ws, ended),
  }
}

/** The socket must be paused; it is read from `onMessage` on. */
export function dataSocket(ws: WebSocket): DataSocket {
  return {
    send: data => new Promise(sent => ws.send(data, { binary: typeof data !== 'string', compress: false }, () => sent())),
    close: (code, reason) => closeSocket(ws, code, reason),
    onMessage(take) {
      ws.on('message', (data, binary) => take(binary ? (data as Buffer) : data.toString()))
      ws.resume()
    },
    onClose: ended => onceClosed(ws, ended),
  }
}

/** Also of a paused socket: its peer's answer must be read. `ws` cuts the line a second later. */
function closeSocket(ws: WebSocket, code: number, reason: string): void {
  const passed = passableClose(code, reason)
  ws.resume()
  if (ws.readyState <= 1) ws.close(passed.code, passed.reason)
}

function onceClosed(ws: WebSocket, ended: (code: number, reason: string) => void): void {
  if (ws.readyState === 3) queueMicrotask(() => ended(1006, 'connection lost'))
  else ws.once('close', (code, reason) => ended(code, reason.toString()))
}
