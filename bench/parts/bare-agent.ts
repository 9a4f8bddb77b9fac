/**
 * The real agent around a runtime of nothing: sessions come up after `START_MS`, and every port is a TCP connection to 127.0.0.1. So what is measured is
 * API and agent, not browsers.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { runAgent } from '#agent/agent.ts'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { defaultPolicy } from '#agent/policy.ts'
import { DialError, type Instance, type Runtime } from '#agent/runtimes/runtime.ts'

const { PORTHOLE_URL, JOIN_TOKEN, START_MS = '0', PLACES = '1000' } = process.env
const instances = new Map<string, Instance>()
const watchers = new Set<() => void>()
const wake = () => {
  for (const each of watchers) each()
}
const store = () => {
  let text: string | null = null
  return {
    load: async () => text,
    save: async (next: string) => {
      text = next
    },
  }
}

const runtime: Runtime = {
  capabilities: async () => ({
    ...{ runtime: 'local', kinds: ['browser', 'app'], browsers: ['chromium'], features: ['display', 'warm', 'ports'] },
    ...{ versions: {}, notes: [], capacity: { sessions: Number(PLACES), cpu_millis: null, memory_bytes: null } },
  }),
  observe: async () => [...instances.values()].map(each => ({ ...each })),
  watch(run) {
    watchers.add(run)
    return () => watchers.delete(run)
  },
  async start(name, session, generation) {
    if (instances.has(name)) return
    const instance: Instance = {
      ...{ session, generation, name, uid: name, phase: 'starting', phases: [{ phase: 'spawned', at: Date.now() }] },
      ...{ activeAt: null, display: null, versions: {}, notes: [], pod: null },
    }
    instances.set(name, instance)
    wake()
    delay(Number(START_MS), undefined, { ref: false }).then(() => {
      instance.phase = 'running'
      wake()
    })
  },
  async stop(name) {
    instances.delete(name)
    wake()
  },
  async forget() {},
  async dial(_, target, signal) {
    if (target.kind !== 'port') throw new DialError(404, 'not_found', 'only ports')
    const socket = connect({ port: target.port, host: '127.0.0.1', noDelay: true, signal })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return { kind: 'bytes', socket }
  },
  async host() {
    return { status: 200, headers: {}, body: (async function* () {})() }
  },
  async *logs() {},
  async close() {},
}

const stop = new AbortController()
process.on('SIGTERM', () => stop.abort())
process.on('disconnect', () => process.exit(0))
process.on('message', () => {
  globalThis.gc?.()
  process.send!({ memory: process.memoryUsage(), instances: instances.size })
})
await runAgent(
  {
    ...{ origin: PORTHOLE_URL!, joinToken: JOIN_TOKEN, version: '0.0.0', boot: String(process.pid), giveUpAfterMs: null },
    policy: { ...defaultPolicy, maxSessions: Number(PLACES), maxStreams: 100_000, maxPendingDials: 10_000 },
    ...{ keyStore: store(), stateStore: store(), runtime, clock: systemClock, random: Math.random, fetch },
    log: createLog(() => {}),
    ready: () => process.send!({ ready: true }),
  },
  stop.signal,
)
process.exit(0)
