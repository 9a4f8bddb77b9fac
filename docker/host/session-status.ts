/** What is known of the session, with a number that rises at each change: `/status?since=` and the notify descriptor hang on it. */
import { writeFileSync, writeSync } from 'node:fs'
import type { Size } from './host-spec.ts'

export interface Status {
  seq: number
  state: 'starting' | 'ready' | 'ending'
  /** While ending: why, a sentence for people. While starting: what it is doing. */
  reason: string | null
  cause: 'failed' | 'stopped' | null
  phases: { phase: string; at: number }[]
  /** Epoch ms of the last script message or `POST /activity`. */
  active_at: number | null
  display: Size | null
  versions: Record<string, string>
  notes: string[]
  /** Clients connected now, by stream. */
  clients: { playwright: number; cdp: number; ports: number }
}

/** Activity alone is told at most this often. */
const activityStep = 5_000

export class SessionStatus {
  private readonly now: () => number
  private readonly sinks = new Set<(status: Status) => void>()
  private toldActivity = 0
  private current: Status = {
    seq: 1,
    state: 'starting',
    reason: null,
    cause: null,
    phases: [],
    active_at: null,
    display: null,
    versions: {},
    notes: [],
    clients: { playwright: 0, cdp: 0, ports: 0 },
  }

  constructor(now: () => number = Date.now) {
    this.now = now
  }

  get(): Status {
    return this.current
  }

  change(part: Partial<Omit<Status, 'seq' | 'phases' | 'notes'>>): void {
    this.current = { ...this.current, ...part, seq: this.current.seq + 1 }
    for (const sink of [...this.sinks]) sink(this.current)
  }

  phase(phase: string): void {
    this.current = { ...this.current, phases: [...this.current.phases, { phase, at: this.now() }].slice(-50) }
    this.change({})
  }

  note(text: string): void {
    if (this.current.notes.includes(text)) return
    this.current = { ...this.current, notes: [...this.current.notes, text].slice(-20) }
    this.change({})
  }

  clients(stream: keyof Status['clients'], by: 1 | -1): void {
    this.change({ clients: { ...this.current.clients, [stream]: this.current.clients[stream] + by } })
  }

  active(): void {
    const at = this.now()
    if (at - this.toldActivity < activityStep) {
      this.current = { ...this.current, active_at: at }
      return
    }
    this.toldActivity = at
    this.change({ active_at: at })
  }

  /** Resolves with a status newer than `since`, or with the present one after `ms`. */
  newerThan(since: number, ms: number, gone: AbortSignal): Promise<Status> {
    if (this.current.seq > since || ms <= 0) return Promise.resolve(this.current)
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.sinks.delete(done)
        gone.removeEventListener('abort', done)
        resolve(this.current)
      }
      const timer = setTimeout(done, ms)
      this.sinks.add(done)
      gone.addEventListener('abort', done, { once: true })
    })
  }

  /** Each change as one line. The reader going away is no reason to stop: the stdin pipe says that. */
  notifyTo(fd: number): void {
    const tell = (status: Status) => {
      try {
        writeSync(fd, `${JSON.stringify(status)}\n`)
      } catch {
        this.sinks.delete(tell)
      }
    }
    this.sinks.add(tell)
    tell(this.current)
  }

  writeTo(file: string): void {
    try {
      writeFileSync(file, `${JSON.stringify(this.current)}\n`)
    } catch (cause) {
      process.stderr.write(`host: cannot write ${file}: ${(cause as Error).message}\n`)
    }
  }
}
