/** A shell that the host program of a session makes (`/terminal` of HOST.md). Closing the WebSocket ends all that runs in it. */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { dialMessages, type HostDoor } from './host-door.ts'
import type { Shell, ShellOrder } from './runtime.ts'

const lastWordsMs = 5_000

export async function hostShell(door: HostDoor, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
  const query = new URLSearchParams({ id: order.terminal, cols: String(order.cols), rows: String(order.rows) })
  if (order.shell !== undefined) query.set('shell', order.shell)
  const dialled = await dialMessages(door, `/terminal?${query}`, {}, signal)
  return new HostShell(dialled.socket as WebSocket)
}

class HostShell implements Shell {
  readonly stream: Duplex
  readonly ended: Promise<{ exitCode: number | null; reason: string }>
  private readonly ws: WebSocket
  private readonly closed: Promise<void>
  private exitCode: number | null = null
  private ending = false

  constructor(ws: WebSocket) {
    this.ws = ws
    this.closed = new Promise(resolve => ws.once('close', () => resolve()))
    this.stream = new Duplex({
      allowHalfOpen: false,
      read: () => ws.resume(),
      write: (chunk: Buffer, _encoding, done) => ws.send(chunk, { binary: true, compress: false }, () => done()),
      final: done => done(),
    })
    ws.on('error', () => {})
    ws.on('message', (data: Buffer, binary: boolean) => {
      if (!binary) this.hear(String(data))
      else if (!this.ending && !this.stream.push(data)) ws.pause()
    })
    this.ended = this.closed.then(() => {
      this.stream.push(null)
      const { exitCode } = this
      return {
        exitCode,
        reason: exitCode === null ? 'The session ended, or its host program did.' : `It ended with exit code ${exitCode}.`,
      }
    })
  }

  resize(cols: number, rows: number): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(JSON.stringify({ type: 'resize', cols, rows }))
  }

  async end(): Promise<void> {
    const { ws } = this
    this.ending = true
    // A paused socket hears no goodbye; what it still says is nobody's any more.
    ws.resume()
    if (ws.readyState === ws.OPEN) ws.send('{"type":"end"}')
    const timer = setTimeout(() => ws.terminate(), lastWordsMs)
    await this.closed
    clearTimeout(timer)
  }

  private hear(text: string): void {
    try {
      const { type, code } = JSON.parse(text) as { type?: unknown; code?: unknown }
      if (type === 'exit') this.exitCode = typeof code === 'number' ? code : null
    } catch {}
  }
}
