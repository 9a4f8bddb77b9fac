import { describe, expect, it } from 'vitest'
import type { ApiMessage } from '#protocol/link-messages.ts'
import type { DesiredSession } from '#protocol/session-spec.ts'
import { capabilities } from '../testing/fake-agent.ts'
import { ControlLink } from './link.ts'
import type { ClusterState, DesiredPage, LinkDeps, LinkHolder, LinkReport, LinkSocket, StreamMessage } from './link-port.ts'

const away = new Error('the database is away')

/** One link in a world where nothing happens unless the test says so. */
class World {
  clock = 0
  sent: ApiMessage[] = []
  closed: { code: number; reason: string } | null = null
  /** Desired state as `[seq, item]`. */
  desired: [number, DesiredSession][] = []
  seq = 0
  epochs = 6
  grants = true
  reports: LinkReport[] = []
  settled: string[][] = []
  streams: StreamMessage[] = []
  ended: number[] = []
  lives = 0
  failures: Error[] = []
  reportsApply = true
  row: ClusterState | null = null
  /** What a page says of whose link counts. */
  holder: LinkHolder | null = { agent: 'agt_1', epoch: 0 }
  /** While set, what is sent stays in our buffers. */
  stuck: (() => void)[] | null = null
  private take!: (text: string) => Promise<void>
  private gone!: (code: number, reason: string) => void
  readonly link: ControlLink

  constructor() {
    const socket: LinkSocket = {
      send: async text => {
        this.sent.push(JSON.parse(text))
        if (this.stuck) await new Promise<void>(sent => this.stuck!.push(sent))
      },
      close: (code, reason) => {
        this.closed = { code, reason }
      },
      onMessage: take => {
        this.take = take
      },
      onClose: gone => {
        this.gone = gone
      },
    }
    const failing = async <T>(value: () => T): Promise<T> => {
      const failure = this.failures.shift()
      if (failure) throw failure
      return value()
    }
    const deps: LinkDeps = {
      now: () => this.clock,
      store: {
        begin: () => failing(() => (this.grants ? ++this.epochs : null)),
        end: async (_, epoch) => void this.ended.push(epoch),
        state: async () => this.row,
      },
      desired: (_, after, limit) =>
        failing((): DesiredPage => {
          const all = this.desired.filter(([seq]) => seq > after)
          const complete = all.length <= limit
          const shown = all.slice(0, limit)
          return {
            holder: this.holder,
            items: shown.map(([, item]) => item),
            deletedVolumes: [],
            jobs: [],
            seq: complete ? this.seq : shown.at(-1)![0],
            complete,
          }
        }),
      report: report =>
        failing(() => {
          if (this.reportsApply) this.reports.push(report)
          return { applied: this.reportsApply, settled: this.reportsApply ? report.items.map(item => item.id) : [] }
        }),
      settled: (_, sessions) => void this.settled.push(sessions),
      streams: (_, message) => void this.streams.push(message),
      passing: error => error === away,
      pause: async (_, signal) => signal.throwIfAborted(),
      log: { info() {}, warn() {}, error() {} },
    }
    this.link = new ControlLink(socket, { id: 'agt_1', cluster: 'clu_1', clusterName: 'one' }, deps, {
      live: () => void this.lives++,
      ended: () => {},
    })
  }

  wants(count: number): void {
    for (let i = 0; i < count; i++) {
      this.seq++
      this.desired.push([this.seq, item(`ses_${this.seq}`)])
    }
  }
  say(message: unknown): Promise<void> {
    return this.take(typeof message === 'string' ? message : JSON.stringify(message))
  }
  hello(change: object = {}): Promise<void> {
    return this.say({
      type: 'hello',
      agent_version: '1',
      protocol: { min: 1, max: 2 },
      boot: 'b',
      capabilities,
      resume: null,
      ...change,
    })
  }
  report(change: object = {}): Promise<void> {
    return this.say({ type: 'report', epoch: this.epochs, seq: 1, complete: true, items: [], load, ...change })
  }
  drop(): void {
    this.gone(1006, '')
  }
  /** Everything that is not waiting for the test has happened. */
  async settle(): Promise<void> {
    for (let i = 0; i < 60; i++) await Promise.resolve()
  }
  async tick(ms: number): Promise<void> {
    for (const end = this.clock + ms; this.clock < end; ) {
      this.clock += 1_000
      this.link.tick()
      await this.settle()
    }
  }
  types(): string[] {
    return this.sent.map(message => message.type)
  }
  take_sent(): ApiMessage[] {
    return this.sent.splice(0)
  }
}

const load = { sessions: 0, streams: 0, cpu_millis_used: null, memory_bytes_used: null }
const item = (id: string): DesiredSession => ({
  kind: 'session',
  id,
  generation: 1,
  state: 'deleted',
  ttl_remaining_ms: null,
  idle_timeout_ms: null,
  touches: 0,
})
const live = async (world = new World()) => {
  await world.hello()
  await world.settle()
  world.take_sent()
  await world.say({ type: 'ack', seq: world.seq })
  return world
}

describe('greeting', () => {
  it('answers hello with a fresh epoch and everything desired, in pages', async () => {
    const world = new World()
    world.wants(450)
    await world.hello()
    await world.settle()
    expect(world.sent[0]).toMatchObject({ type: 'welcome', epoch: 7, cluster: { id: 'clu_1', name: 'one' }, protocol: 1 })
    const pages = world.sent.slice(1).map(page => page.type === 'snapshot' && [page.items.length, page.seq, page.complete])
    expect(pages).toEqual([
      [200, 200, false],
      [200, 400, false],
      [50, 450, true],
    ])
  })

  it.each([
    ['no hello in time', (world: World) => world.tick(5_000), 4408],
    ['something before hello', (world: World) => world.report(), 4400],
    ['hello twice', (world: World) => world.hello().then(() => world.hello()), 4400],
    ['no common protocol', (world: World) => world.hello({ protocol: { min: 2, max: 3 } }), 4400],
    ['no JSON', (world: World) => world.say('{'), 4400],
    ['a malformed message', (world: World) => world.say({ type: 'ack', seq: -1 }), 4400],
    ['a message over the limit', (world: World) => world.say(`"${'x'.repeat(1024 * 1024)}"`), 1009],
  ])('ends on %s', async (_, act, code) => {
    const world = new World()
    await act(world)
    expect(world.closed?.code).toBe(code)
  })

  it('takes nothing more once it has said goodbye', async () => {
    const world = await live()
    world.link.close('superseded')
    await world.report()
    expect([world.reports, world.take_sent()]).toEqual([[], []])
  })

  it('refuses an agent that is no longer the cluster’s', async () => {
    const world = new World()
    world.grants = false
    await world.hello()
    expect(world.closed?.code).toBe(4403)
    expect(world.lives).toBe(0)
  })

  it('waits out a database that is away, and gives the epoch back when the agent left meanwhile', async () => {
    const world = new World()
    world.failures = [away, away]
    await world.hello()
    expect(world.types()).toContain('welcome')
    const leaving = new World()
    const hello = leaving.hello()
    leaving.drop()
    await hello
    expect([leaving.lives, leaving.sent]).toEqual([0, []])
  })

  it('ignores what it does not know and says so', async () => {
    const world = await live()
    await world.say({ type: 'from_the_future', secret: 1 })
    expect(world.take_sent()).toEqual([{ type: 'unsupported', got: 'from_the_future' }])
    expect(world.closed).toBeNull()
  })
})

describe('desired state', () => {
  it('sends what changed after a nudge or a poll, and nothing twice', async () => {
    const world = await live()
    world.wants(2)
    world.link.nudge()
    world.link.nudge()
    await world.settle()
    expect(world.take_sent()).toEqual([{ type: 'delta', seq: 2, items: [item('ses_1'), item('ses_2')] }])
    world.wants(1)
    world.link.look({ cluster: 'clu_1', agent: 'agt_1', epoch: 7, seq: 3 })
    await world.settle()
    expect(world.take_sent()).toMatchObject([{ type: 'delta', seq: 3, items: [{ id: 'ses_3' }] }])
    world.link.look({ cluster: 'clu_1', agent: 'agt_1', epoch: 7, seq: 3 })
    await world.settle()
    expect(world.sent).toEqual([])
  })

  it('loses no change that comes while another is being sent', async () => {
    const world = await live()
    world.stuck = []
    world.wants(1)
    world.link.nudge()
    await world.settle()
    world.wants(1)
    world.link.nudge()
    await world.settle()
    expect(world.types()).toEqual(['delta'])
    const stuck = world.stuck
    world.stuck = null
    for (const sent of stuck) sent()
    await world.settle()
    expect(world.sent.map(message => message.type === 'delta' && message.seq)).toEqual([1, 2])
  })

  it('holds back while sixteen changes are not acknowledged, then sends the rest as one', async () => {
    const world = await live()
    for (let i = 0; i < 20; i++) {
      world.wants(1)
      world.link.nudge()
      await world.settle()
    }
    expect(world.take_sent()).toHaveLength(16)
    await world.say({ type: 'ack', seq: 16 })
    await world.settle()
    expect(world.take_sent()).toMatchObject([{ type: 'delta', seq: 20, items: [{}, {}, {}, {}] }])
  })

  it('sends everything again every five minutes, and when an acknowledgement stays out', async () => {
    const world = await live()
    world.wants(1)
    const ponging = async (ms: number) => {
      for (let t = 0; t < ms; t += 10_000) {
        await world.tick(10_000)
        await world.say({ type: 'pong' })
      }
    }
    await ponging(290_000)
    expect(world.types()).not.toContain('snapshot')
    await ponging(20_000)
    expect(world.take_sent().filter(message => message.type === 'snapshot')).toHaveLength(1)
    await ponging(40_000)
    expect(world.types()).toContain('snapshot')
  })

  it('comes back to it when the database was away', async () => {
    const world = await live()
    world.wants(1)
    world.failures = [away]
    world.link.nudge()
    await world.settle()
    expect([world.sent, world.closed]).toEqual([[], null])
    world.link.look({ cluster: 'clu_1', agent: 'agt_1', epoch: 7, seq: 1 })
    await world.settle()
    expect(world.types()).toEqual(['delta'])
  })

  it.each([
    ['a newer epoch', { cluster: 'clu_1', agent: 'agt_1', epoch: 8, seq: 0 }, 4409],
    ['another agent', { cluster: 'clu_1', agent: 'agt_2', epoch: 7, seq: 0 }, 4403],
    ['no cluster', null, 4403],
  ])('ends when the row, or a page beside it, tells of %s', async (_, row, code) => {
    const world = await live()
    world.link.look(row)
    expect(world.closed?.code).toBe(code)
    const other = await live()
    other.holder = row
    other.wants(1)
    other.link.nudge()
    await other.settle()
    expect([other.closed?.code, other.sent]).toEqual([code, []])
  })
})

describe('reports', () => {
  it('are acknowledged once they are committed', async () => {
    const world = await live()
    world.failures = [away]
    await world.report({ seq: 4 })
    expect(world.reports).toMatchObject([{ cluster: 'clu_1', epoch: 7, seq: 4 }])
    expect(world.take_sent()).toEqual([{ type: 'report_ack', seq: 4 }])
  })

  it('of another epoch are dropped', async () => {
    const world = await live()
    await world.report({ epoch: 3 })
    expect([world.reports, world.sent]).toEqual([[], []])
  })

  it('seen before are acknowledged again; a fenced link ends instead', async () => {
    const world = await live()
    world.reportsApply = false
    world.row = { cluster: 'clu_1', agent: 'agt_1', epoch: 7, seq: 0 }
    await world.report()
    expect(world.take_sent()).toEqual([{ type: 'report_ack', seq: 1 }])
    world.row.epoch = 8
    await world.report({ seq: 2 })
    expect(world.closed?.code).toBe(4409)
    expect(world.sent).toEqual([])
  })

  it('are taken one after the other, and a fault of ours ends the link', async () => {
    const world = await live()
    const taken = [world.report({ seq: 1 }), world.report({ seq: 2 }), world.report({ seq: 3 })]
    await Promise.all(taken)
    expect(world.reports.map(report => report.seq)).toEqual([1, 2, 3])
    world.failures = [new Error('a bug')]
    await world.report({ seq: 4 })
    expect(world.closed?.code).toBe(1011)
  })
})

describe('liveness', () => {
  it('pings every 15 s and gives up after 45 s of silence', async () => {
    const world = await live()
    await world.tick(44_000)
    expect(world.types().filter(type => type === 'ping')).toHaveLength(2)
    expect(world.closed).toBeNull()
    await world.tick(1_000)
    expect(world.closed).toEqual({ code: 4408, reason: 'timeout: silence' })
  })

  it('takes any message as life and answers pings', async () => {
    const world = await live()
    for (let i = 0; i < 6; i++) {
      await world.tick(20_000)
      await world.say({ type: 'ping' })
    }
    expect(world.closed).toBeNull()
    expect(world.types().filter(type => type === 'pong')).toHaveLength(6)
  })

  it('ends a peer that takes nothing although it talks', async () => {
    const world = await live()
    world.stuck = []
    for (let i = 0; i < 8 && !world.closed; i++) {
      await world.tick(10_000)
      await world.say({ type: 'pong' })
    }
    expect(world.closed?.code).toBe(4508)
  })

  it('passes on what is said about streams, in any order', async () => {
    const world = await live()
    await world.say({ type: 'refused', stream: 'str_1', status: 502, code: 'target_refused', detail: 'x' })
    await world.say({ type: 'streams', streams: ['str_2'] })
    expect(world.streams.map(message => message.type)).toEqual(['refused', 'streams'])
  })
})
