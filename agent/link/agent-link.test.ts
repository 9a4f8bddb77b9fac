/** The link over sockets made of function calls and a clock that moves when told: every wait is real arithmetic, no test waits. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AgentMessage, type ApiMessage, linkTiming } from '#protocol/link-messages.ts'
import { createLog } from '../log.ts'
import { DesiredState } from '../sessions/desired-state.ts'
import type { View } from '../sessions/observed-view.ts'
import { FakeClock, settle } from '../testing/fake-clock.ts'
import { aDesired } from '../testing/session-fixtures.ts'
import { AgentLink } from './agent-link.ts'
import { type LinkSocketEvents, UpgradeRefused } from './link-socket.ts'

/** One dialled socket, seen from the API. */
class FarEnd {
  readonly heard: AgentMessage[] = []
  ended: { code: number; reason: string } | 'terminated' | null = null
  readonly dialledAt: number
  private readonly events: LinkSocketEvents
  constructor(events: LinkSocketEvents, dialledAt: number) {
    this.events = events
    this.dialledAt = dialledAt
  }
  say(...messages: ApiMessage[]): Promise<void> {
    for (const message of messages) this.events.message(JSON.stringify(message))
    return settle()
  }
  raw(text: string): Promise<void> {
    this.events.message(text)
    return settle()
  }
  close(code: number, reason = ''): Promise<void> {
    this.events.closed(code, reason)
    return settle()
  }
  last<T extends AgentMessage['type']>(type: T): Extract<AgentMessage, { type: T }> | undefined {
    return this.heard.findLast(message => message.type === type) as Extract<AgentMessage, { type: T }> | undefined
  }
  count(type: AgentMessage['type']): number {
    return this.heard.filter(message => message.type === type).length
  }
}

let clock: FakeClock
let ends: FarEnd[]
let dialFails: Error | null
let random: number
let epoch: number
let desired: DesiredState
let views: Map<string, View>
let opened: string[]
let gone: string[]
let looksAround: boolean
let waiting: (() => void)[]
let wakes: number
let ups: number
let stop: AbortController
let running: Promise<string>
let link: AgentLink
let lines: string[]
let giveUpAfterMs: number | null

function begin(): void {
  link = new AgentLink({
    clock,
    random: () => random,
    log: createLog(line => lines.push(line)),
    dial: async events => {
      if (dialFails) throw dialFails
      const end = new FarEnd(events, clock.now())
      ends.push(end)
      return {
        send: text => end.heard.push(JSON.parse(text)),
        close: (code, reason) => {
          end.ended ??= { code, reason }
        },
        terminate: () => {
          end.ended ??= 'terminated'
        },
      }
    },
    hello: async () => ({
      agent_version: '1',
      boot: 'b',
      capabilities: {
        runtime: 'local',
        kinds: [],
        browsers: [],
        features: [],
        versions: {},
        notes: [],
        capacity: { sessions: 1, cpu_millis: null, memory_bytes: null },
      },
    }),
    epochs: {
      highest: () => epoch,
      accept: async next => {
        epoch = next
      },
    },
    desired,
    desiredChanged: () => wakes++,
    whenSeen: run => (looksAround ? run() : waiting.push(run)),
    source: {
      views: () => views,
      jobs: () => new Map(),
      absentVolumes: () => gone.filter(volume => desired.deletedVolumes.has(volume)),
      terminals: () => [],
      load: () => ({ sessions: views.size, streams: 0, cpu_millis_used: null, memory_bytes_used: null }),
    },
    streams: { open: open => opened.push(open.stream), close: () => {}, renew: () => {}, list: () => ['str_9'] },
    up: () => ups++,
    giveUpAfterMs,
  })
  running = link.run(stop.signal)
}

beforeEach(() => {
  clock = new FakeClock()
  ends = []
  dialFails = null
  random = 0.5
  epoch = 0
  desired = new DesiredState(clock)
  views = new Map()
  opened = []
  gone = []
  looksAround = true
  waiting = []
  wakes = ups = 0
  stop = new AbortController()
  lines = []
  giveUpAfterMs = null
})
afterEach(async () => {
  stop.abort()
  await running
  // Every timer has an owner that clears it.
  expect(clock.waiting).toBe(0)
})

const welcome = (term: number): ApiMessage => ({
  type: 'welcome',
  epoch: term,
  cluster: { id: 'clu_1', name: 'home' },
  protocol: 1,
})
const snapshot = (seq = 0, complete = true, ...ids: string[]): ApiMessage => ({
  type: 'snapshot',
  seq,
  items: ids.map(id => aDesired(id)),
  complete,
})
const pong: ApiMessage = { type: 'pong' }
const see = (id: string, phase: 'starting' | 'running', age = 0): void => {
  const item = {
    kind: 'session',
    id,
    generation: 1,
    phase,
    phases: [{ phase: 'made', age_ms: age }],
    idle_ms: null,
    display: null,
    versions: {},
    notes: [],
    pod: null,
  } as const
  views.set(id, { item: { ...item, phases: [...item.phases], notes: [] }, key: `${id} ${phase}` })
}

async function connected(term = 1): Promise<FarEnd> {
  if (ends.length === 0) begin()
  await settle()
  const end = ends.at(-1)!
  await end.say(welcome(term), snapshot())
  return end
}

describe('a link', () => {
  test('hello, welcome, streams, snapshot, ack, complete report', async () => {
    const end = await connected()
    expect(end.heard.map(message => message.type)).toEqual(['hello', 'streams', 'ack', 'report'])
    expect(end.last('hello')).toMatchObject({ resume: null, protocol: { min: 1, max: 1 } })
    expect(end.last('report')).toMatchObject({ epoch: 1, seq: 1, complete: true })
    expect([ups, epoch]).toEqual([1, 1])
  })

  test('claims nothing to be complete before it has looked around', async () => {
    looksAround = false
    const end = await connected()
    link.reportSoon()
    await clock.advance(1_000)
    expect([end.count('ack'), end.count('report'), ups]).toEqual([1, 0, 0])
    for (const run of waiting) run()
    expect([end.count('report'), end.last('report')!.complete, ups]).toEqual([1, true, 1])
  })

  test('acts on nothing before the last page', async () => {
    begin()
    await settle()
    await ends[0]!.say(welcome(1), snapshot(3, false, 'ses_a'))
    expect([wakes, desired.wanted.size, ends[0]!.count('ack')]).toEqual([0, 0, 0])
    await ends[0]!.say(snapshot(3, true, 'ses_b'))
    expect([...desired.wanted.keys()]).toEqual(['ses_a', 'ses_b'])
    expect(ends[0]!.last('ack')).toEqual({ type: 'ack', seq: 3 })
  })

  test('whatever comes with the welcome waits for the epoch to be written', async () => {
    begin()
    await settle()
    const end = ends[0]!
    void end.say(welcome(1))
    void end.say(snapshot(1, true, 'ses_a'))
    await end.say({ type: 'delta', seq: 2, items: [aDesired('ses_b')] })
    expect([...desired.wanted.keys()]).toEqual(['ses_a', 'ses_b'])
    await clock.advance(100)
    expect(end.last('ack')).toEqual({ type: 'ack', seq: 2 })
  })

  test('reports only what changed, gathered for a moment', async () => {
    const end = await connected()
    see('ses_a', 'starting')
    see('ses_b', 'starting')
    link.reportSoon()
    link.reportSoon()
    see('ses_b', 'running')
    link.reportSoon()
    expect(end.count('report')).toBe(1)
    await clock.advance(50)
    expect(end.count('report')).toBe(2)
    expect(end.last('report')!.items.map(item => [item.id, item.phase])).toEqual([
      ['ses_a', 'starting'],
      ['ses_b', 'running'],
    ])
    see('ses_a', 'starting', 9_000)
    link.reportSoon()
    await clock.advance(50)
    expect(end.count('report')).toBe(2)
    see('ses_a', 'running')
    link.reportSoon()
    await clock.advance(50)
    expect(end.last('report')).toMatchObject({ seq: 3, complete: false, items: [{ id: 'ses_a' }] })
  })

  test('volumes that are gone are told once per link, as long as the API asks for them', async () => {
    const end = await connected()
    await end.say({ type: 'delta', seq: 1, items: [], deleted_volumes: ['vol_a', 'vol_b'] })
    gone = ['vol_a', 'vol_x']
    for (let round = 0; round < 2; round++) {
      link.reportSoon()
      await clock.advance(50)
    }
    expect(end.count('report')).toBe(2)
    expect(end.last('report')!.absent_volumes).toEqual(['vol_a'])
    await end.say({ type: 'snapshot', seq: 2, items: [], deleted_volumes: ['vol_a'], complete: true })
    expect(end.last('report')).toMatchObject({ complete: true, absent_volumes: ['vol_a'] })
    await end.say({ type: 'snapshot', seq: 3, items: [], complete: true })
    expect(end.last('report')!.absent_volumes).toBeUndefined()
  })

  test('pings every 15 s and answers pings', async () => {
    const end = await connected()
    await end.say({ type: 'ping' })
    expect(end.count('pong')).toBe(1)
    await clock.advance(linkTiming.ping)
    expect(end.count('ping')).toBe(1)
  })

  test('what it does not know it says and ignores; what is malformed ends it', async () => {
    const end = await connected()
    await end.raw('{"type":"dance","x":1}')
    expect(end.last('unsupported')).toEqual({ type: 'unsupported', got: 'dance' })
    await end.say({ type: 'ping' })
    expect(end.count('pong')).toBe(1)
    await end.raw('{"type":"delta","seq":"x"}')
    expect(end.ended).toMatchObject({ code: 4400 })
  })

  test('anything but a welcome first is a broken API', async () => {
    begin()
    await settle()
    await ends[0]!.say(snapshot())
    expect(ends[0]!.ended).toMatchObject({ code: 4400 })
  })

  test('opens are handed on', async () => {
    const end = await connected()
    await end.raw(
      JSON.stringify({
        type: 'open',
        stream: 'str_1',
        url: 'ws://x',
        key: 'k',
        kind: 'vnc',
        role: 'view',
        session: 'ses_a',
        target: {},
        clipboard: 'none',
        deadline_ms: 1,
        remaining_ms: 1,
      }),
    )
    expect(opened).toEqual(['str_1'])
  })
})

describe('deltas', () => {
  const delta = (seq: number, generation: number): ApiMessage => ({
    type: 'delta',
    seq,
    items: [aDesired('ses_a', { generation })],
  })
  const generation = () => desired.wanted.get('ses_a')?.generation

  test('repeated and late ones change nothing, and are acknowledged with what is known', async () => {
    const end = await connected()
    await end.say(delta(5, 2), delta(5, 2), delta(4, 1))
    expect(generation()).toBe(2)
    await clock.advance(100)
    expect(end.last('ack')).toEqual({ type: 'ack', seq: 5 })
  })

  test('are acknowledged together: a moment later, after eight, or with the next report', async () => {
    const end = await connected()
    const acks = () => end.heard.filter(message => message.type === 'ack').map(({ seq }) => seq)
    await end.say(delta(1, 1), delta(2, 2))
    await clock.advance(99)
    expect(acks()).toEqual([0])
    await clock.advance(1)
    expect(acks()).toEqual([0, 2])
    for (let seq = 3; seq <= 10; seq++) await end.say(delta(seq, seq))
    expect(acks()).toEqual([0, 2, 10])
    await end.say(delta(11, 11))
    see('ses_a', 'running')
    link.reportSoon()
    await clock.advance(50)
    expect(end.heard.slice(-2).map(message => message.type)).toEqual(['ack', 'report'])
    await clock.advance(1_000)
    expect(acks()).toEqual([0, 2, 10, 11])
  })

  test('one that overtakes a snapshot’s pages is laid over it', async () => {
    const end = await connected()
    await end.say(snapshot(7, false, 'ses_a'), delta(8, 3), snapshot(7, true, 'ses_b'))
    expect(generation()).toBe(3)
    expect(end.last('ack')).toEqual({ type: 'ack', seq: 8 })
  })

  test('a snapshot older than what is known changes nothing', async () => {
    const end = await connected()
    await end.say(delta(8, 3), snapshot(7, false, 'ses_b'), snapshot(7, true))
    expect([...desired.wanted.keys()]).toEqual(['ses_a'])
    expect(end.last('ack')).toEqual({ type: 'ack', seq: 8 })
  })

  test('in a new epoch the numbers may be any', async () => {
    const end = await connected()
    await end.say(delta(800, 3))
    await end.close(1006)
    await clock.advance(20_000)
    const next = await connected(2)
    await next.say(snapshot(5, true, 'ses_c'))
    expect([...desired.wanted.keys()]).toEqual(['ses_c'])
    expect(next.last('hello')!.resume).toEqual({ epoch: 1, seq: 800 })
  })
})

describe('loss and return', () => {
  test('silence of 40 s ends it at once, without goodbye, and it is dialled again', async () => {
    const end = await connected()
    await clock.advance(linkTiming.redial - 1)
    expect(end.ended).toBeNull()
    await clock.advance(1)
    expect(end.ended).toBe('terminated')
    await clock.advance(linkTiming.backoffBase)
    expect(ends).toHaveLength(2)
  })

  test('any sign of life counts', async () => {
    const end = await connected()
    for (let round = 0; round < 10; round++) {
      await clock.advance(30_000)
      await end.say(pong)
    }
    expect(end.ended).toBeNull()
  })

  test('no welcome in time: given up', async () => {
    begin()
    await settle()
    await clock.advance(linkTiming.handshake * 2)
    expect(ends[0]!.ended).toMatchObject({ code: 4408 })
  })

  test('full jitter that doubles up to 15 s; a stable link begins anew', async () => {
    random = 1
    dialFails = new Error('ECONNREFUSED')
    begin()
    await clock.advance(500 + 1000 + 2000 + 4000 + 8000 + 15_000 + 15_000)
    const waits = lines.map(line => Number(/redial_ms=(\d+)/.exec(line)?.[1]))
    expect(waits.slice(0, 7)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000])
    dialFails = null
    await clock.advance(15_000)
    const end = await connected()
    await clock.advance(linkTiming.stable)
    await end.close(1006)
    expect(lines.at(-1)).toContain('redial_ms=500')
  })

  test('a link that never lasts does not reset the pause', async () => {
    random = 1
    begin()
    for (const pause of [500, 1000, 2000]) {
      await (await connected(ends.length)).close(1006)
      expect(lines.at(-1)).toContain(`redial_ms=${pause}`)
      await clock.advance(pause)
    }
  })

  test('superseded: stands by for long', async () => {
    const end = await connected()
    await end.close(4409, 'superseded')
    await clock.advance(14_000)
    expect(ends).toHaveLength(1)
    await clock.advance(16_000)
    expect(ends).toHaveLength(2)
  })

  test('goaway: leaves within the time given and comes back at once', async () => {
    const end = await connected()
    await end.say({ type: 'goaway', after_ms: 10_000 })
    expect(end.ended).toBeNull()
    await clock.advance(5_000)
    expect(end.ended).toMatchObject({ code: 1001 })
    await clock.advance(linkTiming.backoffBase)
    expect(ends).toHaveLength(2)
  })

  test('what was not acknowledged goes again with the next complete report', async () => {
    const end = await connected()
    see('ses_a', 'running')
    link.reportSoon()
    await end.close(1006)
    await clock.advance(1_000)
    const next = await connected(2)
    expect(next.last('report')).toMatchObject({ complete: true, epoch: 2, seq: 1, items: [{ id: 'ses_a' }] })
  })

  test('refuses an epoch lower than one it has seen, and changes nothing', async () => {
    epoch = 9
    begin()
    await settle()
    await ends[0]!.say(welcome(8), snapshot(1, true, 'ses_a'))
    expect(ends[0]!.ended).toMatchObject({ code: 4409 })
    expect([desired.wanted.size, epoch, ups]).toEqual([0, 9, 0])
    expect(lines.join()).toContain('restored backup')
    await clock.advance(30_000)
    await ends[1]!.say(welcome(10), snapshot(1, true, 'ses_a'))
    expect([desired.wanted.size, epoch]).toEqual([1, 10])
  })

  test('an epoch that cannot be written down is not used', async () => {
    begin()
    await settle()
    stop.abort()
    await running
    stop = new AbortController()
    ends = []
    const parts = (link as unknown as { parts: { epochs: { accept: () => Promise<void> } } }).parts
    parts.epochs.accept = async () => {
      throw new Error('ENOSPC')
    }
    running = link.run(stop.signal)
    await settle()
    await ends[0]!.say(welcome(1), snapshot(1, true, 'ses_a'))
    expect(ends[0]!.ended).toMatchObject({ code: 1011 })
    expect(desired.wanted.size).toBe(0)
  })

  test('an aborted agent says goodbye', async () => {
    const end = await connected()
    stop.abort()
    expect(await running).toBe('aborted')
    expect(end.ended).toEqual({ code: 1001, reason: 'agent stops' })
  })

  test('gives up after five minutes without a link, if told so', async () => {
    giveUpAfterMs = 300_000
    dialFails = new UpgradeRefused(503, 'away', null)
    begin()
    await clock.advance(299_000)
    expect(clock.waiting).toBe(1)
    await clock.advance(20_000)
    expect(await running).toBe('gave up')
  })
})
