/** A fake agent that keeps the rules about streams by itself: it ends them when told and tells how they ended. What flows is the test's to say. */
import type { WebSocket } from 'ws'
import type { Open } from '#protocol/link-messages.ts'
import { dialData, type FakeAgent, type FakeLink } from './fake-agent.ts'

export type Serve = (open: Open, agent: ServingAgent) => unknown

export class ServingAgent {
  readonly agent: FakeAgent
  link!: FakeLink
  /** What it carries. */
  readonly sockets = new Map<string, WebSocket>()
  /** What it was told to close. */
  readonly told: { stream: string; code: number; reason: string }[] = []
  /** Ends streams when told. */
  obeys = true
  private serving: Serve = () => {}

  private constructor(agent: FakeAgent) {
    this.agent = agent
  }

  static async of(agent: FakeAgent): Promise<ServingAgent> {
    const serving = new ServingAgent(agent)
    await serving.dial()
    return serving
  }

  async dial(): Promise<void> {
    const link = await this.agent.link({ acknowledges: true })
    this.link = link
    link.serve(open => {
      Promise.resolve(this.serving(open, this)).catch(error => this.refuse(open, 504, 'no_meeting', String(error)))
    })
    link.ws.on('message', data => {
      const message = JSON.parse(data.toString())
      if (message.type !== 'close') return
      this.told.push({ stream: message.stream, code: message.code, reason: message.reason })
      if (!this.obeys) return
      const ws = this.sockets.get(message.stream)
      ws?.close(message.code, message.reason)
      if (!ws) this.closed(message.stream, message.code, message.reason)
    })
    link.send({ type: 'streams', streams: [...this.sockets.keys()] })
  }

  serve(serving: Serve): void {
    this.serving = serving
  }

  /** Dials the stream's data socket; its end is told on the link. */
  async meet(open: Open, listen: (ws: WebSocket) => void = () => {}): Promise<WebSocket> {
    const ws = await dialData(open, listen)
    this.sockets.set(open.stream, ws)
    const over = (code: number, reason: string) => {
      this.sockets.delete(open.stream)
      this.closed(open.stream, code, reason)
    }
    if (ws.readyState === 3) over(1006, '')
    else ws.once('close', (code, reason) => over(code, reason.toString()))
    return ws
  }

  refuse(open: Open, status: number, code: string, detail: string): void {
    this.link.send({ type: 'refused', stream: open.stream, status, code, detail })
  }

  private closed(stream: string, code: number, reason: string): void {
    this.link.send({ type: 'closed', stream, code, reason, bytes_in: 0, bytes_out: 0 })
  }
}

/** Says back whatever comes, with its type. */
export const echoing: Serve = (open, agent) =>
  agent.meet(open, ws => ws.on('message', (data, binary) => ws.send(data, { binary })))
