/** The agent's leg of one stream: a WebSocket dialled out with the stream's single-use key. */
import { WebSocket } from 'ws'
import { zeroMask } from '../link/link-socket.ts'

export const streamSubprotocol = 'porthole.stream.v1'
const maxMessage = 32 * 1024 * 1024

/** Resolves with an open socket, still paused: nothing is lost before the relay listens. */
export function dialData(url: string, key: string, signal: AbortSignal, handshakeMs: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const ws = new WebSocket(url, streamSubprotocol, {
      headers: { authorization: `Bearer ${key}` },
      perMessageDeflate: false,
      maxPayload: maxMessage,
      handshakeTimeout: handshakeMs,
      closeTimeout: 1000,
      generateMask: zeroMask,
    } as WebSocket.ClientOptions)
    const abort = () => {
      ws.terminate()
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    const settled = () => signal.removeEventListener('abort', abort)
    ws.on('error', error => {
      settled()
      reject(error)
    })
    ws.once('open', () => {
      settled()
      ws.pause()
      resolve(ws)
    })
  })
}
