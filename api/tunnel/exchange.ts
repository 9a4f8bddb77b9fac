/**
 * HTTP over a data socket, the API being the far end (agent/protocol/http-frames.ts): the request's body goes up, head and body come down,
 * each metered by absolute credit that is granted only for what was really taken. A body that ends without `end` was cut and errors.
 */
import { type CloseWord, closeCodes, WireError } from '#protocol/close-codes.ts'
import { CreditWindow, HttpFrame, httpChunk, httpWindow } from '#protocol/http-frames.ts'
import { Problem } from '../problem.ts'

/** One data socket, whoever holds it. Messages that came before `onMessage` was called are kept. */
export interface DataSocket {
  /** Resolves when the message left our buffers; never rejects. */
  send(data: string | Uint8Array): Promise<void>
  close(code: number, reason: string): void
  onMessage(take: (data: string | Uint8Array) => void): void
  onClose(ended: (code: number, reason: string) => void): void
}

/** Told once, when the exchange is over. */
export type ExchangeEnd = (end: { code: number; reason: string; bytesIn: number; bytesOut: number }) => void

const grantStep = 64 * 1024
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'trailer', 'te', 'proxy-connection'])
const withoutBody = new Set([204, 205, 304])

export class HttpExchange {
  readonly response: Promise<Response>
  private readonly socket: DataSocket
  private readonly onEnd: ExchangeEnd
  private readonly up = new CreditWindow()
  private answer!: { resolve: (response: Response) => void; reject: (error: unknown) => void }
  private headSeen = false
  private sink: ReadableStreamDefaultController<Uint8Array> | null = null
  /** Came but not taken by the reader: at most one window. */
  private readonly waiting: Uint8Array[] = []
  private held = 0
  private taken = 0
  private granted = 0
  private complete = false
  private over = false
  private bytesIn = 0
  private reader: ReadableStreamDefaultReader<Uint8Array> | null = null
  private readonly forget: () => void
  /** Rises with every sign of life; whoever watches for standstill compares it. */
  moves = 0

  constructor(socket: DataSocket, body: ReadableStream<Uint8Array> | null, signal: AbortSignal, onEnd: ExchangeEnd) {
    this.socket = socket
    this.onEnd = onEnd
    this.response = new Promise((resolve, reject) => {
      this.answer = { resolve, reject }
    })
    void this.response.catch(() => {})
    const left = () => this.finish('going_away', 'the client left')
    this.forget = () => signal.removeEventListener('abort', left)
    signal.addEventListener('abort', left, { once: true })
    socket.onMessage(data => this.take(data))
    socket.onClose((code, reason) => this.lost(code, reason))
    if (signal.aborted) left()
    else void this.sendBody(body)
  }

  /** Something came that the reader has not taken. */
  get holds(): boolean {
    return this.held > 0
  }

  /** Ends the exchange from outside: a revoked grant, a standstill, a shutdown. */
  finish(word: CloseWord, reason: string = word): void {
    this.end(closeCodes[word], reason, new Error(`the exchange ended: ${reason}`))
  }

  private async sendBody(body: ReadableStream<Uint8Array> | null): Promise<void> {
    try {
      if (body) {
        this.reader = body.getReader()
        for (;;) {
          const { done, value } = await this.reader.read()
          if (done) break
          for (let at = 0; at < value.length; ) {
            await this.up.waitForRoom()
            const piece = value.subarray(at, at + Math.min(httpChunk, this.up.room))
            at += piece.length
            this.up.spend(piece.length)
            this.bytesIn += piece.length
            await this.socket.send(piece)
          }
        }
      }
      if (!this.over) await this.socket.send(JSON.stringify({ type: 'end' }))
    } catch (error) {
      // The client's body broke off: the far side must not take it for the whole.
      if (!this.over) this.end(closeCodes.going_away, 'the request was cut', error)
    }
  }

  private take(data: string | Uint8Array): void {
    if (this.over) return
    this.moves++
    try {
      if (typeof data === 'string') this.frame(readFrame(data))
      else this.bytes(data)
    } catch (error) {
      this.finish('protocol', error instanceof WireError ? error.message : 'unreadable frame')
    }
  }

  private frame(frame: HttpFrame): void {
    if (frame.type === 'credit') this.up.grant(frame.total)
    else if (frame.type === 'head') this.head(frame)
    else {
      if (!this.headSeen) throw new WireError('protocol', 'end before head')
      this.complete = true
      this.flush()
    }
  }

  private head({ status, headers: given }: Extract<HttpFrame, { type: 'head' }>): void {
    if (this.headSeen || status < 200 || status > 599) throw new WireError('protocol', 'unexpected head')
    const headers = new Headers()
    for (const [name, value] of Object.entries(given)) if (!hopByHop.has(name.toLowerCase())) headers.set(name, value)
    this.headSeen = true
    const body = new ReadableStream<Uint8Array>(
      {
        start: controller => {
          this.sink = controller
        },
        pull: () => this.flush(),
        cancel: () => this.finish('going_away', 'the client left'),
      },
      { highWaterMark: 1 },
    )
    this.answer.resolve(new Response(withoutBody.has(status) ? null : body, { status, headers }))
  }

  private bytes(data: Uint8Array): void {
    this.held += data.length
    if (!this.headSeen || this.complete) throw new WireError('protocol', 'body out of place')
    if (this.held > httpWindow + httpChunk) throw new WireError('protocol', 'more than was granted')
    this.waiting.push(data)
    this.flush()
  }

  /** Hands over what the reader has room for, grants what it took, ends when all was. */
  private flush(): void {
    const { sink } = this
    if (!sink || this.over) return
    while (this.waiting.length > 0 && (sink.desiredSize ?? 0) > 0) {
      const chunk = this.waiting.shift()!
      this.held -= chunk.length
      this.taken += chunk.length
      this.moves++
      sink.enqueue(chunk)
    }
    if (!this.complete && this.taken - this.granted >= grantStep) {
      this.granted = this.taken
      void this.socket.send(JSON.stringify({ type: 'credit', total: this.taken }))
    }
    if (this.complete && this.waiting.length === 0) {
      sink.close()
      this.end(closeCodes.normal, 'done', null)
    }
  }

  private lost(code: number, reason: string): void {
    // All of the answer is here: the reader may still take it in its own time.
    if (this.complete) return
    this.end(
      code === 1005 || code === 1006 ? 1011 : code,
      reason,
      new Error(`the session's answer was cut (${code} ${reason})`.trim()),
    )
  }

  private end(code: number, reason: string, error: unknown): void {
    if (this.over) return
    this.over = true
    this.socket.close(code, reason)
    this.up.fail(new Error('the exchange is over'))
    void this.reader?.cancel().catch(() => {})
    this.waiting.length = 0
    this.forget()
    if (error) {
      this.answer.reject(new Problem('target_refused', 'The session ended the exchange before it answered.', { cause: error }))
      this.sink?.error(error)
    }
    this.onEnd({ code, reason, bytesIn: this.bytesIn, bytesOut: this.taken })
  }
}

function readFrame(text: string): HttpFrame {
  const parsed = HttpFrame.safeParse(JSON.parse(text))
  if (!parsed.success) throw new WireError('protocol', 'unreadable frame')
  return parsed.data
}
