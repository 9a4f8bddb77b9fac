/** Every terminal of this agent: made once, found again by its id, never made a second time under the same one. */
import type { Open } from '#protocol/link-messages.ts'
import type { ObservedTerminal, TerminalTarget } from '#protocol/terminal-frames.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Policy } from '../policy.ts'
import { DialError, type Runtime, type Shell, type ShellOrder } from '../runtimes/runtime.ts'
import { Terminal, type TerminalCause } from './terminal.ts'

export interface TerminalBookParts {
  runtime: Runtime
  policy: Policy
  clock: Clock
  log: Log
  /** There is something new to report. */
  changed: () => void
}

/** An ended terminal can be read, and is reported, for so long. */
const keptMs = 5 * 60_000
const mostRefused = 10_000

export class TerminalBook {
  private readonly terminals = new Map<string, Terminal>()
  /** Being made: whoever asks meanwhile gets the same one. */
  private readonly making = new Map<string, Promise<Terminal>>()
  private readonly forgetting = new Set<() => void>()
  /** Told to end, perhaps before it was made: never made after that. */
  private readonly refused = new Set<string>()
  private closed = false
  private readonly parts: TerminalBookParts

  constructor(parts: TerminalBookParts) {
    this.parts = parts
  }

  /** The terminal that a stream wants: the one there is, or, the first time only, a new one. */
  async open({ session }: Pick<Open, 'session'>, wish: TerminalTarget, signal: AbortSignal): Promise<Terminal> {
    const known = this.terminals.get(wish.id)
    if (known && known.session !== session) throw new DialError(404, 'not_found', 'this session has no such terminal')
    if (known) return known
    const begun = this.making.get(wish.id)
    if (begun) return await begun
    if (!wish.start || this.refused.has(wish.id) || this.closed)
      throw new DialError(410, 'terminal_ended', 'the terminal has ended: its agent was restarted, or it was closed')
    const making = this.make(session, wish.id, wish.start, signal).finally(() => this.making.delete(wish.id))
    this.making.set(wish.id, making)
    return await making
  }

  observed(): ObservedTerminal[] {
    return [...this.terminals.values()].map(terminal => terminal.observed())
  }

  get live(): number {
    return [...this.terminals.values()].filter(terminal => !terminal.end).length
  }

  /** Asked for by the API. */
  endAll(ids: Iterable<string>): void {
    for (const id of ids) {
      this.refused.add(id)
      if (this.refused.size > mostRefused) this.refused.delete(this.refused.values().next().value!)
      void this.terminals.get(id)?.stop('requested', 'The terminal was closed.')
    }
  }

  endSession(session: string, reason: string): void {
    for (const terminal of this.terminals.values()) if (terminal.session === session) void terminal.stop('session_ended', reason)
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.allSettled(this.making.values())
    for (const cancel of this.forgetting) cancel()
    await Promise.all([...this.terminals.values()].map(terminal => terminal.stop('agent_stops', 'The agent stops.')))
  }

  private async make(
    session: string,
    id: string,
    start: NonNullable<TerminalTarget['start']>,
    signal: AbortSignal,
  ): Promise<Terminal> {
    const { policy, clock, log } = this.parts
    if (this.live + this.making.size >= policy.maxTerminals)
      throw new DialError(503, 'no_capacity', `this cluster keeps at most ${policy.maxTerminals} terminals`)
    const { shell: program, pod, container, cols, rows } = start
    const order = {
      terminal: id,
      cols,
      rows,
      ...(program && { shell: program }),
      ...(pod && { pod }),
      ...(container && { container }),
    }
    const shell = await this.shellIn(session, start, order, signal)
    const terminal = new Terminal(shell, { id, session }, start, { clock, changed: () => this.ended(id) })
    this.terminals.set(id, terminal)
    log.info('terminal opened', { terminal: id, session })
    if (this.closed) void terminal.stop('agent_stops', 'The agent stops.')
    else if (this.refused.has(id)) void terminal.stop('requested', 'The terminal was closed.')
    this.parts.changed()
    return terminal
  }

  private async shellIn(
    place: string,
    { job }: NonNullable<TerminalTarget['start']>,
    order: ShellOrder,
    signal: AbortSignal,
  ): Promise<Shell> {
    const { runtime } = this.parts
    if (isJob(place)) {
      if (!runtime.jobs?.exec || !job) throw new DialError(501, 'unsupported', 'this cluster has no terminals in jobs')
      return await runtime.jobs.exec(place, job, order, signal)
    }
    if (!runtime.exec) throw new DialError(501, 'unsupported', 'this cluster has no terminals')
    return await runtime.exec(place, order, signal)
  }

  private ended(id: string): void {
    const { clock, log, changed } = this.parts
    const terminal = this.terminals.get(id)
    if (!terminal?.end) return
    const { cause, exitCode } = terminal.end
    log.info('terminal ended', { terminal: id, session: terminal.session, cause, exit_code: exitCode })
    if (mayNotBeReadOn(cause)) terminal.output.wipe()
    changed()
    if (this.closed) return
    const cancel = clock.after(keptMs, () => {
      this.forgetting.delete(cancel)
      this.terminals.delete(id)
      changed()
    })
    this.forgetting.add(cancel)
  }
}

/** Terminals are in sessions or in jobs; ids tell them apart. */
export const isJob = (id: string) => id.startsWith('job_')

function mayNotBeReadOn(cause: TerminalCause): boolean {
  return cause === 'requested' || cause === 'session_ended'
}
