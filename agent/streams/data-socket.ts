/** The agent's leg of one stream: a WebSocket dialled out with the stream's single-use key. */
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { maxDataMessage } from '#protocol/link-messages.ts'
import { zeroMask } from '../link/link-socket.ts'
import { DialError } from '../runtimes/runtime.ts'
import type { SpareConnection } from './spare-connection.ts'
import { closeLeg, ended, type StreamEnd } from './stream-end.ts'

export const streamSubprotocol = 'porthole.stream.v1'
const lastWordsMs = 1000

export interface DataDial {
  url: string
  key: string
  signal: AbortSignal
  handshakeMs: number
  spare: SpareConnection
}

/**
 * Resolves with an open socket, still paused: nothing is lost before the relay listens. When the signal aborts on the way, a socket that
 * the API may have answered already is opened only to be closed with the reason; the promise rejects when it is gone.
 */
export async function dialData(dial: DataDial): Promise<WebSocket> {
  const connection = dial.spare.take(dial.url)
  try {
    return await handshake(dial, connection)
  } catch (error) {
    if (!connection || dial.signal.aborted) throw error
    // It may have been dead for a while. Where its key was used up all the same, the second try says so.
    return await handshake(dial, null)
  }
}

function handshake({ url, key, signal, handshakeMs }: DataDial, connection: Socket | null): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, streamSubprotocol, {
      headers: { authorization: `Bearer ${key}` },
      perMessageDeflate: false,
      maxPayload: maxDataMessage,
      handshakeTimeout: handshakeMs,
      closeTimeout: lastWordsMs,
      generateMask: zeroMask,
      ...(connection && { createConnection: () => connection }),
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
