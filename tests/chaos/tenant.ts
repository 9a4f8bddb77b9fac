/** A tenant under load: makes, lists and deletes sessions through the balancer, keeps one screen open, and writes down what it was told. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { History } from './history.ts'

export interface Called {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  body: any
}

/** Tries again, with the same key, until an answer comes: what was acknowledged must hold, what was cut may or may not have happened. */
export async function call(url: string, token: string, method: string, path: string, body?: object): Promise<Called> {
  const key = randomUUID()
  for (let tries = 0; ; tries++) {
    try {
      const answer = await fetch(url + path, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          connection: 'close',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(method === 'POST' ? { 'idempotency-key': key } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(15_000),
      })
      const text = await answer.text()
      const inFlight = answer.status === 409 && text.includes('still in flight')
      if (answer.status < 500 && !inFlight) return { status: answer.status, body: text === '' ? null : JSON.parse(text) }
      if (tries > 100) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    } catch (error) {
      if (tries > 100) throw error
    }
    await delay(100 + Math.random() * 100)
  }
}

export class Tenant {
  readonly project: string
  readonly token: string
  private readonly url: string
  private readonly history: History
  /** When each session must be over, by the API's own answer. */
  readonly deadlines = new Map<string, number>()
  private readonly mine = new Set<string>()

  constructor(url: string, project: string, token: string, history: History) {
    this.url = url
    this.project = project
    this.token = token
    this.history = history
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const dice = Math.random()
      if (dice < 0.45) await this.create(Math.random() < 0.4 ? { ttl_seconds: 3 } : {})
      else if (dice < 0.7) await this.remove()
      else await this.look()
      await delay(Math.random() * 150)
    }
  }

  async create(more: object = {}): Promise<string | null> {
    const labels = { canary: this.project }
    const { status, body } = await call(this.url, this.token, 'POST', '/v1/sessions', { template: 'chromium', labels, ...more })
    this.history.answers++
    if (status === 403 && body.code === 'quota_exceeded') return null
    if (status !== 201) {
      this.history.faults.push(`a create was answered ${status}: ${JSON.stringify(body)}`)
      return null
    }
    this.history.acked.push({ kind: 'create', session: body.id, project: this.project, at: Date.now() })
    if (body.expires_at) this.deadlines.set(body.id, Date.parse(body.expires_at))
    if (!('name' in more)) this.mine.add(body.id)
    return body.id
  }

  private async remove(): Promise<void> {
    const [id] = [...this.mine].sort(() => Math.random() - 0.5)
    if (!id) return
    this.mine.delete(id)
    const { status } = await call(this.url, this.token, 'DELETE', `/v1/sessions/${id}`)
    this.history.answers++
    if (status === 204) this.history.acked.push({ kind: 'delete', session: id, project: this.project, at: Date.now() })
    // 404: an earlier try was cut after it had worked.
    else if (status !== 404) this.history.faults.push(`a delete was answered ${status}`)
  }

  private async look(): Promise<void> {
    const { body } = await call(this.url, this.token, 'GET', '/v1/sessions?limit=100')
    this.history.answers++
    for (const session of body.data)
      if (session.labels.canary !== this.project) this.history.faults.push(`I7: ${this.project} was shown ${session.id}`)
  }
}

export interface Watched {
  /** When the last byte came. */
  lastAt: number
  closed: Promise<void>
}

/** Opens a stream and says something ten times a second; resolves with the first echo, null when it could not be opened. */
export async function watch(url: string, token: string, session: string, signal: AbortSignal): Promise<Watched | null> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/sessions/${session}/cdp`, {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: 10_000,
  })
  ws.on('error', () => {})
  const close = () => ws.terminate()
  signal.addEventListener('abort', close, { once: true })
  const closed = new Promise<void>(done => ws.once('close', () => done()))
  const timer = setInterval(() => ws.readyState === 1 && ws.send('x'), 100)
  void closed.then(() => {
    clearInterval(timer)
    signal.removeEventListener('abort', close)
  })
  const watched: Watched = { lastAt: 0, closed }
  const first = new Promise<boolean>(done => {
    ws.on('message', () => {
      watched.lastAt = Date.now()
      done(true)
    })
    void closed.then(() => done(false))
  })
  return (await first) ? watched : null
}

/** Keeps a stream open for as long as it may: each cut is followed by the next try at once. */
export async function keepWatching(
  url: string,
  token: string,
  session: string,
  history: History,
  signal: AbortSignal,
): Promise<void> {
  let cutAt = 0
  while (!signal.aborted) {
    const watched = await watch(url, token, session, signal)
    if (!watched) {
      await delay(100)
      continue
    }
    if (cutAt) history.gaps.push(watched.lastAt - cutAt)
    await watched.closed
    cutAt = Date.now()
  }
}
