/** The agent's leg of one stream: a WebSocket dialled out with the stream's single-use key. */
import { WebSocket } from 'ws'
import { maxDataMessage } from '#protocol/link-messages.ts'
import { zeroMask } from '../link/link-socket.ts'
import { DialError } from '../runtimes/runtime.ts'
import { closeLeg, ended, type StreamEnd } from './stream-end.ts'

export const streamSubprotocol = 'porthole.stream.v1'
const lastWordsMs = 1000

/**
 * Resolves with an open socket, still paused: nothing is lost before the relay listens. When the signal aborts on the way, a socket that
 * the API may have answered already is opened only to be closed with the reason; the promise rejects when it is gone.
 */
export function dialData(url: string, key: string, signal: AbortSignal, handshakeMs: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, streamSubprotocol, {
      headers: { authorization: `Bearer ${key}` },
      perMessageDeflate: false,
      maxPayload: maxDataMessage,
      handshakeTimeout: handshakeMs,
      closeTimeout: lastWordsMs,
      generateMask: zeroMask,
    } as WebSocket.ClientOptions)
    let lastWords: NodeJS.Timeout | undefined
    const aborted = () => {
      lastWords = setTimeout(() => ws.terminate(), lastWordsMs)
    }
    let failure: Error | null = null
    ws.on('error', error => {
      failure ??= error
    })
    ws.once('close', () => {
      clearTimeout(lastWords)
      signal.removeEventListener('abort', aborted)
      reject(signal.aborted ? signal.reason : (failure ?? new Error('it was closed at once')))
    })
    ws.once('open', () => {
      signal.removeEventListener('abort', aborted)
      if (signal.aborted) {
        closeLeg(ws, endOfAbort(signal.reason))
        return
      }
      ws.pause()
      resolve(ws)
    })
    signal.addEventListener('abort', aborted, { once: true })
  })
}

function endOfAbort(reason: unknown): StreamEnd {
  return reason instanceof DialError ? ended('no_meeting', reason.message) : (reason as StreamEnd)
}
