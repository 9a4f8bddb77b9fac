/** A whole agent in this process: real sockets to an ApiDouble, a scripted runtime, state in memory. */
import { runAgent } from '../agent.ts'
import { type Clock, systemClock } from '../clock.ts'
import { createLog } from '../log.ts'
import { defaultPolicy, type Policy } from '../policy.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import type { TextStore } from '../sessions/state-file.ts'

export function memoryStore(text: string | null = null): TextStore & { text: string | null } {
  return {
    text,
    async load() {
      return this.text
    },
    async save(next) {
      this.text = next
    },
  }
}

export interface TestAgent {
  stop(): Promise<void>
  done: Promise<unknown>
  lines: string[]
}

export function startAgent(options: {
  origin: string
  runtime: Runtime
  keyStore?: TextStore
  stateStore?: TextStore
  policy?: Partial<Policy>
  joinToken?: string
  clock?: Clock
  boot?: string
  ready?: () => void
}): TestAgent {
  const stop = new AbortController()
  const lines: string[] = []
  const done = runAgent(
    {
      origin: options.origin,
      joinToken: options.joinToken ?? 'join-1',
      version: '0.0.0',
      boot: options.boot ?? 'boot',
      policy: { ...defaultPolicy, ...options.policy },
      giveUpAfterMs: null,
      keyStore: options.keyStore ?? memoryStore(),
      stateStore: options.stateStore ?? memoryStore(),
      runtime: options.runtime,
      clock: options.clock ?? systemClock,
      // Back-off with no wait: tests are not about patience.
      random: () => 0.01,
      fetch,
      log: createLog(line => lines.push(line.trimEnd())),
      ready: options.ready ?? (() => {}),
    },
    stop.signal,
  )
  done.catch(() => {})
  return {
    lines,
    done,
    async stop() {
      stop.abort()
      await done.catch(() => {})
    },
  }
}
