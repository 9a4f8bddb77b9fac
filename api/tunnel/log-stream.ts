/** Logs over a data socket: binary messages until close 1000. A slow reader stops the socket, and so the agent, and so the source. */
import { type CloseWord, closeCodes } from '#protocol/close-codes.ts'
import type { DataSocket, ExchangeEnd } from './exchange.ts'

const held = 256 * 1024

export class LogStream {
  readonly response: Response
  private readonly socket: DataSocket
  private readonly onEnd: ExchangeEnd
  private readonly forget: () => void
  private sink!: ReadableStreamDefaultController<Uint8Array>
  private bytesOut = 0
  private over = false

  constructor(socket: DataSocket, signal: AbortSignal, onEnd: ExchangeEnd) {
    this.socket = socket
    this.onEnd = onEnd
    const body = new ReadableStream<Uint8Array>(
      {
        start: controller => {
          this.sink = controller
        },
        pull: () => this.socket.resume(),
        cancel: () => this.finish('going_away', 'the client left'),
      },
      { highWaterMark: held, size: chunk => chunk.length },
    )
    this.response = new Response(body, { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' } })
    const left = () => this.finish('going_away', 'the client left')
    this.forget = () => signal.removeEventListener('abort', left)
    signal.addEventListener('abort', left, { once: true })
    socket.onClose((code, reason) => this.closed(code, reason))
    socket.onMessage(data => {
      if (this.over || typeof data === 'string') return
      this.bytesOut += data.length
      this.sink.enqueue(data)
      if ((this.sink.desiredSize ?? 0) <= 0) this.socket.pause()
    })
    if (signal.aborted) left()
  }

  finish(word: CloseWord, reason: string = word): void {
    this.end(closeCodes[word], reason, new Error(`the log ended: ${reason}`))
  }

  private closed(code: number, reason: string): void {
    const whole = code === 1000 || code === 1005
    this.end(code === 1006 ? 1011 : code, reason, whole ? null : new Error(`the log was cut (${code} ${reason})`.trim()))
  }

  private end(code: number, reason: string, error: Error | null): void {
    if (this.over) return
    this.over = true
    this.forget()
    this.socket.close(code, reason)
    if (error) this.sink.error(error)
    else this.sink.close()
    this.onEnd({ code, reason, bytesIn: 0, bytesOut: this.bytesOut })
  }
}
