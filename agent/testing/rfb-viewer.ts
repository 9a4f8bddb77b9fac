/**
 * A viewer as simple as RFB allows: raw pixels only. It takes the server's messages apart by itself, so that a byte too many or too few
 * anywhere on the way shows at once.
 */
import type { WebSocket } from 'ws'
import { setEncodings } from '../streams/rfb/viewer-filter.ts'

export interface CutText {
  /** Plain text, or the flags and body of the extended form. */
  text?: string
  flags?: number
}

export class RfbViewer {
  readonly cutTexts: CutText[] = []
  updates = 0
  fences = 0
  width = 0
  height = 0
  /** What could not be understood. */
  broken: string | null = null
  closed: { code: number; reason: string } | null = null
  private readonly socket: WebSocket
  private buffer = Buffer.alloc(0)
  private readonly waiters = new Set<() => void>()
  private stage: 'version' | 'security' | 'result' | 'init' | 'messages' = 'version'
  private readonly encodings: number[]

  constructor(socket: WebSocket, encodings: number[]) {
    this.socket = socket
    this.encodings = encodings
    socket.on('message', (data: Buffer) => {
      this.buffer = Buffer.concat([this.buffer, data])
      while (!this.broken && this.step());
      for (const check of [...this.waiters]) check()
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      for (const check of [...this.waiters]) check()
    })
    if (socket.isPaused) socket.resume()
  }

  send(...messages: Buffer[]): void {
    for (const message of messages) this.socket.send(message)
  }

  /** Asks for the whole screen and waits for it: everything sent before has been dealt with by the server then. */
  async frame(): Promise<void> {
    const before = this.updates
    const request = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    request.writeUInt16BE(this.width, 6)
    request.writeUInt16BE(this.height, 8)
    this.send(request)
    await this.until(() => this.updates > before)
  }

  until(look: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (look()) {
          this.waiters.delete(check)
          resolve()
        } else if (this.broken || this.closed) {
          this.waiters.delete(check)
          reject(new Error(this.broken ?? `closed: ${this.closed?.code} ${this.closed?.reason}`))
        }
      }
      this.waiters.add(check)
      check()
    })
  }

  get ready(): boolean {
    return this.stage === 'messages'
  }

  private step(): boolean {
    switch (this.stage) {
      case 'version':
        return this.take(12, bytes => {
          this.send(bytes)
          this.stage = 'security'
        })
      case 'security':
        return this.take(2, () => {
          this.send(Buffer.from([1]))
          this.stage = 'result'
        })
      case 'result':
        return this.take(4, () => {
          this.send(Buffer.from([0]))
          this.stage = 'init'
        })
      case 'init':
        return this.take(this.buffer.length < 24 ? 24 : 24 + this.buffer.readUInt32BE(20), bytes => {
          this.width = bytes.readUInt16BE(0)
          this.height = bytes.readUInt16BE(2)
          this.stage = 'messages'
          if (this.encodings.length > 0) this.send(setEncodings(this.encodings))
        })
      default:
        return this.message()
    }
  }

  private message(): boolean {
    const { buffer } = this
    switch (buffer[0]) {
      case undefined:
        return false
      case 0:
        return this.update()
      case 2:
        return this.take(1, () => {})
      case 3: {
        if (buffer.length < 8) return false
        const length = buffer.readInt32BE(4)
        return this.take(8 + Math.abs(length), bytes => {
          this.cutTexts.push(length < 0 ? { flags: bytes.readUInt32BE(8) } : { text: bytes.subarray(8).toString('latin1') })
        })
      }
      case 150:
        return this.take(1, () => {})
      case 248:
        return this.take(buffer.length < 9 ? 9 : 9 + buffer[8]!, () => {
          this.fences++
        })
      default:
        this.broken = `unknown server message ${buffer[0]}`
        return false
    }
  }

  private update(): boolean {
    if (this.buffer.length < 4) return false
    let at = 4
    for (let left = this.buffer.readUInt16BE(2); left > 0; left--) {
      if (this.buffer.length < at + 12) return false
      const [w, h, encoding] = [
        this.buffer.readUInt16BE(at + 4),
        this.buffer.readUInt16BE(at + 6),
        this.buffer.readInt32BE(at + 8),
      ]
      if (encoding === 0) at += 12 + w * h * 4
      else if (encoding === -308) {
        if (this.buffer.length < at + 13) return false
        at += 16 + 16 * this.buffer[at + 12]!
        this.width = w
        this.height = h
      } else {
        this.broken = `encoding ${encoding} was never asked for`
        return false
      }
    }
    return this.take(at, () => {
      this.updates++
    })
  }

  private take(size: number, use: (bytes: Buffer) => void): boolean {
    if (this.buffer.length < size) return false
    const bytes = this.buffer.subarray(0, size)
    this.buffer = this.buffer.subarray(size)
    use(bytes)
    return true
  }
}
