/** The session's side of one HTTP exchange: what came, and how to answer, by the rules of http-frames.ts. */
import { createHash } from 'node:crypto'
import type { WebSocket } from 'ws'
import { CreditWindow, type HttpFrame } from '#protocol/http-frames.ts'

export class HostDouble {
  readonly ws: WebSocket
  readonly window = new CreditWindow()
  readonly hash = createHash('sha256')
  taken = 0
  /** While false, nothing that comes is granted. */
  grants = true
  readonly bodyEnd: Promise<void>
  constructor(ws: WebSocket, grants = true) {
    this.ws = ws
    this.grants = grants
    this.bodyEnd = new Promise(done => {
      ws.on('message', (data, binary) => {
        if (binary) {
          this.taken += (data as Buffer).length
          this.hash.update(data as Buffer)
          if (this.grants) this.frame({ type: 'credit', total: this.taken })
        } else {
          const frame = JSON.parse(data.toString()) as HttpFrame
          if (frame.type === 'credit') this.window.grant(frame.total)
          else if (frame.type === 'end') done()
        }
      })
    })
    ws.on('close', () => this.window.fail(new Error('closed')))
  }
  frame(frame: HttpFrame): void {
    this.ws.send(JSON.stringify(frame))
  }
  async send(bytes: Uint8Array, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      for (let at = 0; at < bytes.length; ) {
        await this.window.waitForRoom()
        const piece = bytes.subarray(at, at + Math.min(64 * 1024, this.window.room))
        at += piece.length
        this.window.spend(piece.length)
        this.ws.send(piece)
      }
    }
  }
}
