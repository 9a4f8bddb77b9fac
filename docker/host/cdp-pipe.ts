/**
 * CDP over Chromium's own pipe, shared by everybody. A debugging port would be open to every other session and program of the machine; the pipe is
 * the host's alone. Playwright of the session has the root connection; each remote client gets a browser session of its own on it
 * (`Target.attachToBrowserTarget`) and never sees that: its messages are given the session's id, and lose it on the way back.
 */
import type { Readable, Writable } from 'node:stream'

export interface CdpMessage {
  id?: number
  method?: string
  params?: Record<string, unknown>
  sessionId?: string
  result?: Record<string, unknown>
  error?: { code: number; message: string }
}

/** Where a remote client's messages go. */
export interface CdpSink {
  send(text: string): void
  close(): void
}

export interface CdpClient {
  receive(text: string): void
  gone(): void
}

/** What `chromium.connectOverCDP()` takes in place of an address. */
export interface RootTransport {
  send(message: object): void
  close(): void
  onmessage?: (message: object) => void
  onclose?: (reason?: string) => void
}

interface Remote {
  sink: CdpSink
  /** Its browser session, and the sessions attached from there. */
  own: string
}

/** Ids of the host's own commands; Playwright counts from 1. */
const firstOwnId = 1_500_000_000
const separator = 0
const endOfSession = /,"sessionId":"([0-9A-Za-z-]+)"\}$/
/** Chromium forgets bodies larger than this; its own limit is a few MB. */
const bodyLimits = { maxTotalBufferSize: 192 * 2 ** 20, maxResourceBufferSize: 64 * 2 ** 20 }

export class CdpPipe {
  readonly root: RootTransport
  private readonly output: Writable
  private readonly rewrite: (message: CdpMessage) => void
  private readonly remotes = new Map<string, Remote>()
  private readonly asked = new Map<number, (answer: CdpMessage) => void>()
  private ids = firstOwnId
  private closed = false

  /** `rewrite` may change a command on its way in. */
  constructor(input: Readable, output: Writable, rewrite: (message: CdpMessage) => void) {
    this.output = output
    this.rewrite = rewrite
    this.root = { send: message => this.write(message as CdpMessage), close: () => {} }
    let parts: Buffer[] = []
    input.on('data', (chunk: Buffer) => {
      let from = 0
      for (let end = chunk.indexOf(separator); end >= 0; end = chunk.indexOf(separator, from)) {
        parts.push(chunk.subarray(from, end))
        this.deliver(Buffer.concat(parts).toString('utf8'))
        parts = []
        from = end + 1
      }
      if (from < chunk.length) parts.push(chunk.subarray(from))
    })
    input.on('close', () => this.over())
    for (const stream of [input, output]) stream.on('error', () => this.over())
  }

  /** A command of the host itself. */
  async call(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = this.ids++
    const answer = await new Promise<CdpMessage>((resolve, reject) => {
      if (this.closed) return reject(new Error('the browser is gone'))
      this.asked.set(id, resolve)
      this.write({ id, method, params })
    })
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`)
    return answer.result ?? {}
  }

  async attach(sink: CdpSink): Promise<CdpClient> {
    const { sessionId } = await this.call('Target.attachToBrowserTarget')
    const own = String(sessionId)
    this.remotes.set(own, { sink, own })
    return {
      receive: text => this.receive(own, text),
      gone: () => {
        for (const [session, remote] of this.remotes) if (remote.own === own) this.remotes.delete(session)
        if (!this.closed) this.call('Target.detachFromTarget', { sessionId: own }).catch(() => {})
      },
    }
  }

  private receive(own: string, text: string): void {
    const remote = this.remotes.get(own)
    if (!remote) return
    const message = parsed(text)
    const session = message?.sessionId ?? own
    if (!message) remote.sink.close()
    else if (this.remotes.get(session)?.own === own) this.write({ ...message, sessionId: session })
    else {
      const error = { code: -32001, message: 'Session with given id not found.' }
      remote.sink.send(JSON.stringify({ id: message.id, error, sessionId: session }))
    }
  }

  private write(message: CdpMessage): void {
    if (this.closed) return
    if (message.method === 'Network.enable') message.params = { ...bodyLimits, ...message.params }
    this.rewrite(message)
    this.output.write(`${JSON.stringify(message)}\0`)
  }

  /** Large messages are not taken apart: whose they are stands at their end. */
  private deliver(text: string): void {
    const end = endOfSession.exec(text.slice(-80))
    const remote = end ? this.remotes.get(end[1]!) : undefined
    if (!end || !remote) {
      this.deliverToRoot(text)
      return
    }
    if (text.startsWith('{"method":"Target.attachedToTarget"') || text.startsWith('{"method":"Target.detachedFromTarget"'))
      this.follow(remote, text)
    remote.sink.send(end[1] === remote.own ? `${text.slice(0, -end[0].length)}}` : text)
  }

  private follow(remote: Remote, text: string): void {
    const { method, params } = JSON.parse(text) as CdpMessage
    const session = String(params?.sessionId)
    if (method === 'Target.attachedToTarget') this.remotes.set(session, { sink: remote.sink, own: remote.own })
    else if (session !== remote.own) this.remotes.delete(session)
  }

  private deliverToRoot(text: string): void {
    const message = JSON.parse(text) as CdpMessage
    const waiting = message.id === undefined ? undefined : this.asked.get(message.id)
    if (waiting) {
      this.asked.delete(message.id!)
      waiting(message)
    } else {
      // One message a turn: Playwright sets up what the next one needs in promises that must run first.
      setImmediate(() => this.root.onmessage?.(message))
    }
  }

  private over(): void {
    if (this.closed) return
    this.closed = true
    for (const waiting of this.asked.values()) waiting({ error: { code: -32000, message: 'the browser is gone' } })
    this.asked.clear()
    for (const { sink } of this.remotes.values()) sink.close()
    this.remotes.clear()
    this.root.onclose?.('the browser is gone')
  }
}

function parsed(text: string): CdpMessage | null {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null ? (message as CdpMessage) : null
  } catch {
    return null
  }
}
