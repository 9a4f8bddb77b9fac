/** The API's end, written against http-frames.ts alone. */
import { expect } from 'vitest'
import type { WebSocket } from 'ws'
import { CreditWindow, HttpFrame, httpChunk, httpWindow } from '#protocol/http-frames.ts'

export class ApiEnd {
  head: Extract<HttpFrame, { type: 'head' }> | null = null
  body: Buffer[] = []
  size = 0
  ended = false
  closed: { code: number; reason: string } | null = null
  credit = 0
  /** False: takes nothing and grants nothing. */
  taking = true
  readonly socket: WebSocket
  private readonly window = new CreditWindow()
  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer, binary) => {
      if (binary) {
        expect(this.head).not.toBeNull()
        expect(this.ended).toBe(false)
        expect(data.length).toBeLessThanOrEqual(httpChunk)
        this.body.push(data)
        this.size += data.length
        expect(this.size - this.credit).toBeLessThanOrEqual(httpWindow)
        if (this.taking) this.grant()
        return
      }
      const frame = HttpFrame.parse(JSON.parse(data.toString()))
      if (frame.type === 'head') this.head = frame
      else if (frame.type === 'end') this.ended = true
      else this.window.grant(frame.total)
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.window.fail(new Error('closed'))
    })
    socket.resume()
  }
  grant(): void {
    this.credit = this.size
    this.say({ type: 'credit', total: this.size })
  }
  say(frame: HttpFrame): void {
    this.socket.send(JSON.stringify(frame))
  }
  async upload(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      await this.window.waitForRoom()
      const part = bytes.subarray(at, at + Math.min(httpChunk, this.window.room))
      this.window.spend(part.length)
      at += part.length
      this.socket.send(part)
    }
    this.say({ type: 'end' })
  }
  cut(): void {
    this.socket.terminate()
  }
}
