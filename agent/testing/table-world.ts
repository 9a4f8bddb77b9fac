/** A stream table alone: real sockets to an ApiDouble, a scripted runtime, a clock that moves when told, one running session. */
import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { AgentMessage, Open } from '#protocol/link-messages.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { createLog } from '../log.ts'
import { defaultPolicy, type Policy } from '../policy.ts'
import { StreamTable } from '../streams/stream-table.ts'
import { isJob, TerminalBook } from '../terminals/terminal-book.ts'
import type { ApiDouble } from './api-double.ts'
import { FakeClock } from './fake-clock.ts'
import { ScriptedRuntime } from './scripted-runtime.ts'
import { anOpen, aSpec } from './session-fixtures.ts'

type Outcome = Extract<AgentMessage, { type: 'refused' | 'closed' }>

export class TableWorld {
  readonly clock = new FakeClock()
  readonly runtime = new ScriptedRuntime()
  readonly told: AgentMessage[] = []
  readonly table: StreamTable
  readonly terminals: TerminalBook
  readonly policy: Policy
  active = 0
  spec: SessionSpec = aSpec({ ports: [{ name: 'x', port: 9000 }] })
  running = true
  /** While it is not null, the session is being given its settings. */
  settling: Promise<void> | null = null
  private readonly api: ApiDouble

  constructor(api: ApiDouble, policy: Partial<Policy> = {}) {
    this.api = api
    this.policy = { ...defaultPolicy, ...policy }
    const { runtime, clock } = this
    const log = createLog(() => {})
    this.terminals = new TerminalBook({ runtime, policy: this.policy, clock, log, changed: () => {} })
    this.table = new StreamTable({
      runtime,
      terminals: this.terminals,
      policy: this.policy,
      clock,
      log,
      access: session =>
        session === 'ses_a' ? { spec: this.spec, generation: 1, running: this.running, unsettled: this.settling !== null } : null,
      untilSettled: async (_, signal) => {
        const aborted = new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
        await Promise.race([this.settling, aborted])
      },
      active: id => {
        if (!isJob(id)) this.active++
      },
      tell: message => this.told.push(message),
      changed: () => {},
    })
  }

  /** Hands the table an `open`; answers the stream's id. */
  open(overrides: Partial<Open> = {}): string {
    const stream = overrides.stream ?? `str_${randomUUID()}`
    this.table.open(anOpen({ stream, url: this.api.dataUrl(stream), key: `key-${stream}`, ...overrides }))
    return stream
  }

  /** What the API was told in the end. Only real sockets are waited for; the clock stands still. */
  async outcome(stream: string): Promise<Outcome> {
    for (;;) {
      const found = this.told.find(
        message => (message.type === 'refused' || message.type === 'closed') && message.stream === stream,
      )
      if (found) return found as Outcome
      await setImmediate()
    }
  }
}

/** Goes round the event loop until `look` is true: for what happens by itself but says nothing. */
export async function eventually(look: () => boolean): Promise<void> {
  while (!look()) await setImmediate()
}
