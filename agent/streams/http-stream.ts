/**
 * `http`: one request to a session's host program, body and answer streamed both ways. Each side may be at most `httpWindow` bytes ahead of
 * what the other has really taken (http-frames.ts), so a slow browser slows the session's disk and nothing fills up in between.
 */

import { WireError } from '#protocol/close-codes.ts'
import { CreditWindow, HttpFrame, httpChunk, httpWindow } from '#protocol/http-frames.ts'
import type { HostResponse } from '../runtimes/runtime.ts'
import { DialError } from '../runtimes/runtime.ts'
import type { Gauge } from './flow.ts'
import { endOfError, type RelayContext } from './relay.ts'
import { ended, endOfClose, type StreamEnd } from './stream-end.ts'

/** The request's body as it arrives; grants credit as it is taken. */
export class ArrivingBody implements AsyncIterable<Uint8Array> {
  private readonly queue: Uint8Array[] = []
  private arrived = 0
  private taken = 0
  private granted = 0
  private state: 'open' | 'done' | Error = 'open'
  private wake = () => {}
  private readonly grant: (total: number) => void

  constructor(grant: (total: number) => void) {
    this.grant = grant
  }
  push(bytes: Uint8Array): void {
    if (this.state !== 'open') throw new WireError('protocol', 'body after its end')
    this.arrived += bytes.length
    if (this.arrived - this.granted > httpWindow) throw new WireError('protocol', 'more than the window allows')
    this.queue.push(bytes)
    this.wake()
  }
  end(): void {
    if (this.state === 'open') this.state = 'done'
    this.wake()
  }
  fail(error: Error): void {
    if (this.state === 'open') this.state = error
    this.wake()
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.queue.shift()
      if (next) {
        yield next
        this.taken += next.length
        if (this.taken - this.granted >= httpChunk) {
          this.granted = this.taken
          this.grant(this.taken)
        }
      } else if (this.state === 'done') return
      else if (this.state !== 'open') throw this.state
      else await new Promise<void>(resolve => (this.wake = resolve))
    }
  }
}

/** `ask` gets the arriving body; it is called at once. */
export async function relayHttp(
  context: RelayContext,
  ask: (body: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<HostResponse>,
): Promise<StreamEnd> {
  const { ws, signal, bytes, watch } = context
  const window = new CreditWindow()
  const stop = new AbortController()
  const tell = (frame: HttpFrame) => ws.send(JSON.stringify(frame), { compress: false }, () => {})
  const body = new ArrivingBody(total => tell({ type: 'credit', total }))
  let waiting = false
  const gauge: Gauge = { delivered: 0, pending: () => (waiting ? 1 : ws.bufferedAmount) }
  watch(gauge)

  const cut = new Promise<StreamEnd>(resolve => {
    const cutBy = (end: StreamEnd) => resolve(end)
    if (signal.aborted) cutBy(signal.reason as StreamEnd)
    signal.addEventListener('abort', () => cutBy(signal.reason as StreamEnd), { once: true })
    ws.once('close', (code, reason) => cutBy(endOfClose(code, reason)))
    ws.once('error', error => cutBy(endOfError(error)))
    ws.on('message', (data: Buffer, binary: boolean) => {
      try {
        if (binary) {
          bytes.in += data.length
          body.push(data)
          return
        }
        const frame = readFrame(data)
        if (frame.type === 'credit') {
          gauge.delivered++
          window.grant(frame.total)
        } else if (frame.type === 'end') body.end()
        else throw new WireError('protocol', 'a head from the API')
      } catch (error) {
        cutBy(error instanceof WireError ? { code: error.code, reason: error.message } : ended('internal'))
      }
    })
  })
  void cut.then(end => {
    const error = new Error(end.reason)
    stop.abort(error)
    window.fail(error)
    body.fail(error)
  })
  ws.resume()

  const answer = async (): Promise<StreamEnd> => {
    let response: HostResponse
    try {
      response = await ask(body, stop.signal)
    } catch (error) {
      response = problemResponse(error)
    }
    tell({ type: 'head', status: response.status, headers: response.headers })
    try {
      for await (const chunk of response.body) {
        for (let at = 0; at < chunk.length; ) {
          waiting = true
          await window.waitForRoom()
          waiting = false
          const part = chunk.subarray(at, at + Math.min(httpChunk, window.room))
          window.spend(part.length)
          bytes.out += part.length
          at += part.length
          ws.send(part, { binary: true, compress: false }, () => gauge.delivered++)
        }
      }
    } catch (error) {
      return ended('target_ended', `cut: ${(error as Error).message}`)
    }
    tell({ type: 'end' })
    return ended('normal', 'end')
  }
  const end = await Promise.race([cut, answer()])
  // Whatever the host still does for this request is of no use any more.
  stop.abort(new Error(end.reason))
  return end
}

function readFrame(data: Buffer): HttpFrame {
  try {
    return HttpFrame.parse(JSON.parse(data.toString()))
  } catch {
    throw new WireError('protocol', 'malformed frame')
  }
}

/** A target that could not be asked, told as an answer because the viewer's socket is open already. */
function problemResponse(error: unknown): HostResponse {
  const { status, code } = error instanceof DialError ? error : { status: 502, code: 'target_refused' }
  const detail = error instanceof Error ? error.message : String(error)
  const text = Buffer.from(JSON.stringify({ status, code, detail }))
  return {
    status,
    headers: { 'content-type': 'application/problem+json', 'content-length': String(text.length) },
    body: (async function* () {
      yield text
    })(),
  }
}
