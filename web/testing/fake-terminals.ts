/** Terminals of the puppet API: what the shell says is the test's to say; what is typed is kept. Offsets are as with a real agent. */
import type { ServerResponse } from 'node:http'
import type { WebSocket } from 'ws'
import type { Terminal } from '../src/api/contract.ts'
import { type Body, empty, json, list, problem } from './answers.ts'

export class FakeTerminal {
  readonly view: Terminal
  output = Buffer.alloc(0)
  typed = ''
  sizes: string[] = []
  /** Offsets that viewers came with. */
  asked: (number | null)[] = []
  readonly sockets = new Set<WebSocket>()

  constructor(view: Terminal) {
    this.view = view
  }

  say(text: string | Buffer): void {
    const chunk = Buffer.from(text)
    this.output = Buffer.concat([this.output, chunk])
    for (const socket of this.sockets) socket.send(chunk)
  }

  /** A gap, as a viewer who was too slow gets it. */
  drop(bytes: number): void {
    for (const socket of this.sockets) socket.send(JSON.stringify({ type: 'gap', offset: this.output.length, bytes }))
    this.output = Buffer.concat([this.output, Buffer.alloc(bytes)])
  }

  exit(code: number): void {
    for (const socket of this.sockets) {
      socket.send(JSON.stringify({ type: 'exit', exit_code: code, reason: `It ended with exit code ${code}.` }))
      socket.close(1000, 'exit')
    }
  }

  serve(socket: WebSocket, offset: number | null): void {
    this.asked.push(offset)
    this.sockets.add(socket)
    socket.on('close', () => this.sockets.delete(socket))
    const { cols, rows } = this.view
    const from = offset ?? 0
    socket.send(JSON.stringify({ type: 'connected', terminal: this.view.id, offset: from, live: this.output.length, cols, rows }))
    if (from < this.output.length) socket.send(this.output.subarray(from))
    socket.on('message', (data: Buffer, binary) => {
      if (binary) {
        this.typed += data.toString()
        return
      }
      const frame = JSON.parse(data.toString()) as { type: string; cols?: number; rows?: number }
      if (frame.type === 'resize') this.sizes.push(`${frame.cols}x${frame.rows}`)
      if (frame.type === 'ping') socket.send('{"type":"pong"}')
    })
  }
}

export function fakeTerminals(tickets: Map<string, { session: string; role: string }>, nextId: (prefix: string) => string) {
  const all = new Map<string, FakeTerminal>()

  function make(session: string | null, job: string | null = null, pod: string | null = null): FakeTerminal {
    const id = nextId('trm')
    const terminal = new FakeTerminal({
      id,
      object: 'terminal',
      project: 'prj_default',
      user: 'ada',
      cluster: 'clu_1',
      session,
      job,
      pod,
      container: null,
      shell: null,
      cols: 80,
      rows: 24,
      status: 'created',
      status_reason: null,
      exit_code: null,
      idle_timeout_seconds: 1800,
      url: `/v1/terminals/${id}`,
      created_at: new Date().toISOString(),
      started_at: null,
      last_activity_at: null,
      ended_at: null,
    })
    all.set(id, terminal)
    return terminal
  }

  function answer(method: string, id: string, verb: string, url: URL, body: Body, response: ServerResponse): unknown {
    const text = (value: unknown) => (typeof value === 'string' ? value : null)
    if (!id && method === 'POST') return json(response, 201, make(text(body.session), text(body.job), text(body.pod)).view)
    if (!id)
      return json(
        response,
        200,
        list(
          [...all.values()]
            .map(one => one.view)
            .filter(one => one.session === url.searchParams.get('session') && one.job === url.searchParams.get('job')),
        ),
      )
    const terminal = all.get(id)
    if (!terminal) return problem(response, 404, 'not_found')
    if (verb === 'tickets') {
      const ticket = nextId('tic')
      tickets.set(ticket, { session: id, role: 'terminal' })
      return json(response, 201, { ticket, url: `/v1/terminals/${id}`, expires_at: new Date(Date.now() + 30_000).toISOString() })
    }
    if (method === 'DELETE') {
      for (const socket of terminal.sockets) socket.close(4410, 'closed')
      all.delete(id)
      return empty(response)
    }
    return json(response, 200, terminal.view)
  }

  return { all, make, answer }
}
