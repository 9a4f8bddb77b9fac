/**
 * One shell that the agent keeps. Its output is always taken, at a bounded pace, into the scroll-back; viewers read from there, each at its own speed,
 * come and go, and never make the shell wait. It ends by itself, by idleness, or when told; its last output can still be read for a while.
 */
import { type ObservedTerminal, type TerminalStart, terminalScrollback, terminalSize } from '#protocol/terminal-frames.ts'
import type { Clock } from '../clock.ts'
import type { Shell } from '../runtimes/runtime.ts'
import { Scrollback } from './scrollback.ts'

export type TerminalCause = 'exited' | 'idle' | 'requested' | 'session_ended' | 'agent_stops' | 'lost'

/** Somebody who looks at it. */
export interface TerminalWatcher {
  /** There is more to read, or it ended. */
  wake(): void
  resized(cols: number, rows: number): void
}

export interface TerminalEnd {
  cause: TerminalCause
  exitCode: number | null
  reason: string
}

/** A `yes` may not take more of the agent than this: so many bytes, then a rest until the window is over. */
const paceWindowMs = 50
const paceBytes = 400 * 1024

export class Terminal {
  readonly id: string
  readonly session: string
  readonly output = new Scrollback(terminalScrollback)
  cols: number
  rows: number
  end: TerminalEnd | null = null
  /** Resolves when nothing of it runs. */
  readonly gone: Promise<void>
  private readonly shell: Shell
  private readonly clock: Clock
  private readonly idleMs: number
  private readonly watchers = new Set<TerminalWatcher>()
  private activeAt: number
  private cancelIdle: () => void = () => {}
  private cancelRest: () => void = () => {}
  private windowEnds = 0
  private inWindow = 0
  private endingAs: Pick<TerminalEnd, 'cause' | 'reason'> | null = null

  constructor(
    shell: Shell,
    identity: { id: string; session: string },
    start: TerminalStart,
    parts: { clock: Clock; changed: () => void },
  ) {
    this.id = identity.id
    this.session = identity.session
    this.shell = shell
    this.clock = parts.clock
    this.cols = clamped(start.cols, terminalSize.cols)
    this.rows = clamped(start.rows, terminalSize.rows)
    this.idleMs = start.idle_timeout_ms
    this.activeAt = this.clock.now()
    shell.stream.on('data', (chunk: Buffer) => this.take(chunk))
    shell.stream.on('error', () => {})
    this.gone = this.finish(parts.changed)
    this.watchIdle()
  }

  attach(watcher: TerminalWatcher): () => void {
    this.watchers.add(watcher)
    this.active()
    return () => {
      if (this.watchers.delete(watcher)) this.active()
    }
  }

  get viewers(): number {
    return this.watchers.size
  }

  /** False: nothing more now; `drained` says when. */
  type(bytes: Buffer): boolean {
    if (this.end || !this.shell.stream.writable) return true
    this.active()
    return this.shell.stream.write(bytes)
  }

  drained(run: () => void): void {
    this.shell.stream.once('drain', run)
  }

  resize(cols: number, rows: number, by: TerminalWatcher): void {
    const wide = clamped(cols, terminalSize.cols)
    const high = clamped(rows, terminalSize.rows)
    if (this.end || (wide === this.cols && high === this.rows)) return
    this.cols = wide
    this.rows = high
    this.shell.resize(wide, high)
    for (const watcher of this.watchers) if (watcher !== by) watcher.resized(wide, high)
  }

  /** Ends it; resolves when nothing of it runs. What it wrote is wiped when its people may no longer read it. */
  stop(cause: TerminalCause, reason: string): Promise<void> {
    if (!this.end) {
      this.endingAs ??= { cause, reason }
      void this.shell.end()
    }
    return this.gone
  }

  observed(): ObservedTerminal {
    return {
      id: this.id,
      state: this.end ? 'ended' : 'running',
      exit_code: this.end?.exitCode ?? null,
      cause: this.end?.cause ?? '',
      reason: this.end?.reason ?? null,
      cols: this.cols,
      rows: this.rows,
      viewers: this.watchers.size,
      output_bytes: this.output.end,
      idle_ms: Math.round(this.clock.now() - this.activeAt),
    }
  }

  private active(): void {
    this.activeAt = this.clock.now()
  }

  private take(chunk: Buffer): void {
    this.output.push(chunk)
    if (this.watchers.size > 0) this.active()
    for (const watcher of this.watchers) watcher.wake()
    const now = this.clock.now()
    if (now >= this.windowEnds) {
      this.windowEnds = now + paceWindowMs
      this.inWindow = 0
    }
    this.inWindow += chunk.length
    if (this.inWindow < paceBytes || this.shell.stream.isPaused()) return
    this.shell.stream.pause()
    this.cancelRest = this.clock.after(Math.max(1, this.windowEnds - now), () => this.shell.stream.resume())
  }

  private watchIdle(): void {
    this.cancelIdle = this.clock.after(Math.max(1, this.activeAt + this.idleMs - this.clock.now()), () => {
      if (this.clock.now() - this.activeAt < this.idleMs) return this.watchIdle()
      void this.stop('idle', 'Nobody used it for longer than its idle timeout.')
    })
  }

  private async finish(changed: () => void): Promise<void> {
    const { exitCode, reason } = await this.shell.ended
    this.cancelIdle()
    this.cancelRest()
    // The last words may still be on their way through a pause.
    this.shell.stream.resume()
    await this.shell.end()
    const own: Pick<TerminalEnd, 'cause' | 'reason'> = exitCode === null ? { cause: 'lost', reason } : { cause: 'exited', reason }
    const end = this.endingAs ?? own
    this.end = { ...end, exitCode: this.endingAs ? null : exitCode }
    for (const watcher of this.watchers) watcher.wake()
    changed()
  }
}

function clamped(value: number, range: { min: number; max: number; default: number }): number {
  if (!Number.isFinite(value) || value <= 0) return range.default
  return Math.min(range.max, Math.max(range.min, Math.floor(value)))
}
