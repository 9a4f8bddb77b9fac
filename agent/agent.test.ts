import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ObservedSession } from '#protocol/session-spec.ts'
import { memoryStore, startAgent, type TestAgent } from './testing/agent-under-test.ts'
import { ApiDouble, listen } from './testing/api-double.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { FaultProxy } from './testing/fault-proxy.ts'
import { ScriptedRuntime } from './testing/scripted-runtime.ts'
import { aDesired, aSpec } from './testing/session-fixtures.ts'
import { eventually } from './testing/table-world.ts'

let api: ApiDouble
let runtime: ScriptedRuntime
let agent: TestAgent | null = null

beforeEach(async () => {
  api = await ApiDouble.start()
  runtime = new ScriptedRuntime()
})
afterEach(async () => {
  await agent?.stop()
  agent = null
  await api.kill()
})

describe('a whole agent', () => {
  test('enrols, reports, starts what is wanted and ends what is not', async () => {
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.heard.some(message => message.type === 'report' && message.complete))
    api.want(aDesired('ses_a'))
    await api.phase('ses_a', 'running')
    expect([...runtime.instances.keys()]).toEqual(['ses-a-g1'])

    api.want(aDesired('ses_a', { generation: 2 }))
    await api.phase('ses_a', 'running', 2)
    expect([...runtime.instances.keys()]).toEqual(['ses-a-g2'])

    api.want(aDesired('ses_a', { generation: 2, state: 'stopped' }))
    expect(await api.phase('ses_a', 'ended')).toMatchObject({ cause: 'stopped' })
    expect(runtime.files.has('ses_a')).toBe(true)

    api.want({ ...aDesired('ses_a', { generation: 2, state: 'deleted' }), spec: undefined })
    await api.phase('ses_a', 'absent')
    expect(runtime.files.has('ses_a')).toBe(false)
    expect(runtime.mostAtOnce).toBe(1)
  })

  test('sessions and streams live on while the API is away; it catches up with what changed', async () => {
    const target = await echoServer()
    runtime.onDial = async () => ({ kind: 'bytes', socket: await connected(target) })
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.link)
    api.want(aDesired('ses_a', { spec: aSpec({ ports: [{ name: 'x', port: 9000 }] }) }))
    await api.phase('ses_a', 'running')
    const { socket } = await api.opened()
    const heard = listen(socket)
    api.link!.terminate()
    api.refuseUpgrades = 503
    socket.send('still here')
    await heard.until(() => heard.bytes().toString() === 'still here')
    expect(runtime.instances.size).toBe(1)
    api.desired.set('ses_b', aDesired('ses_b'))
    api.seq++
    api.refuseUpgrades = null
    await api.phase('ses_b', 'running')
    expect(api.heard.findLast(message => message.type === 'streams')).toMatchObject({ streams: ['str_1'] })
    socket.close(1000)
    await heard.closed
    target.close()
  })

  test('a new life of the agent ends honestly what died with the old one, and keeps its identity', async () => {
    const keyStore = memoryStore()
    const stateStore = memoryStore()
    agent = startAgent({ origin: api.origin, runtime, keyStore, stateStore })
    await api.until(() => api.link)
    api.want(aDesired('ses_a'), aDesired('ses_b', { spec: aSpec({ restart: 'on_failure' }) }))
    await api.phase('ses_a', 'running')
    await api.phase('ses_b', 'running')
    await agent.stop()
    await runtime.close()
    const reports = api.heard.length
    agent = startAgent({ origin: api.origin, runtime, keyStore, stateStore, boot: 'boot2' })
    expect(await api.phase('ses_a', 'ended')).toMatchObject({
      cause: 'failed',
      reason: expect.stringContaining('agent restarted'),
    })
    await api.phase('ses_b', 'running')
    // Never, not even for a moment, was it said to be starting again.
    const said = api.heard.slice(reports).flatMap(message => (message.type === 'report' ? message.items : []))
    expect(said.filter(item => item.id === 'ses_a').map(item => item.phase)).toEqual(['ended'])
    expect(api.linkCount).toBe(2)
    expect(runtime.calls.filter(call => call === 'start ses-a-g1')).toHaveLength(1)
  })
})

describe('a link in trouble', () => {
  test('half open: noticed after 40 s of silence, dialled anew, deadlines kept meanwhile', async () => {
    const proxy = await FaultProxy.start(api.origin)
    const clock = todaysClock()
    runtime.wall = clock.wall
    agent = startAgent({ origin: proxy.origin, runtime, clock })
    await api.until(() => api.link)
    api.want(aDesired('ses_a', { ttl_remaining_ms: 20_000 }), aDesired('ses_b'))
    await reported(clock, 'ses_b', 'running')
    proxy.mode = 'blackhole'
    const links = proxy.connections
    for (let second = 0; second < 39; second += 3) await clock.advance(3_000)
    expect([...runtime.instances.keys()]).toEqual(['ses-b-g1'])
    proxy.heal()
    expect(proxy.connections).toBe(links)
    for (let second = 0; second < 20 && proxy.connections === links; second++) await clock.advance(1_000)
    expect(await reported(clock, 'ses_a', 'ended')).toMatchObject({ cause: 'ttl' })
    expect(api.observed.get('ses_b')?.phase).toBe('running')
    await agent.stop()
    await proxy.stop()
  })

  test('two agents with one identity: the newer one works, the older stands by, nothing flaps', async () => {
    const keyStore = memoryStore()
    const clocks = [todaysClock(), todaysClock()]
    agent = startAgent({ origin: api.origin, runtime, keyStore, clock: clocks[0]! })
    await api.until(() => api.link)
    const second = startAgent({ origin: api.origin, runtime: new ScriptedRuntime(), keyStore, clock: clocks[1]!, boot: 'other' })
    await api.until(() => api.linkCount === 2)
    await eventually(() => agent!.lines.some(line => line.includes('link down') && line.includes('4409')))
    await clocks[0]!.advance(14_000)
    expect(api.linkCount).toBe(2)
    await second.stop()
    while (api.linkCount < 3) await clocks[0]!.advance(100)
    await api.until(() => api.link)
  })

  test('an API whose database is an old backup changes nothing', async () => {
    const stateStore = memoryStore()
    api.epoch = 5
    agent = startAgent({ origin: api.origin, runtime, stateStore })
    await api.until(() => api.link)
    api.want(aDesired('ses_a'))
    await api.phase('ses_a', 'running')
    api.epoch = 2
    api.desired.clear()
    api.link!.terminate()
    await eventually(() => agent!.lines.some(line => line.includes('older epoch')))
    expect(JSON.parse(stateStore.text!)).toMatchObject({ epoch: 6 })
    expect(runtime.instances.size).toBe(1)
  })

  test('a wrong clock here locks nobody out', async () => {
    const clock = new FakeClock()
    clock.stepWall(Date.now() - clock.wall() - 7_200_000)
    agent = startAgent({ origin: api.origin, runtime, clock })
    await eventually(() => agent!.lines.some(line => line.includes('differ')))
    await clock.advance(1_000)
    await api.until(() => api.link)
  })

  test('an agent the API has forgotten says so and keeps trying, its sessions unharmed', async () => {
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.link)
    api.want(aDesired('ses_a'))
    await api.phase('ses_a', 'running')
    api.refuseUpgrades = 401
    api.link!.terminate()
    await eventually(() => agent!.lines.some(line => line.includes('does not know this agent')))
    expect(runtime.instances.size).toBe(1)
    api.refuseUpgrades = null
    await api.until(() => api.link)
  })

  test('a runtime that cannot be looked at: no report claims that its sessions are gone', async () => {
    runtime.before = async call => {
      if (call === 'observe') throw new Error('apiserver away')
    }
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.heard.some(message => message.type === 'ack'))
    await eventually(() => agent!.lines.some(line => line.includes('apiserver away')))
    expect(api.heard.some(message => message.type === 'report')).toBe(false)
    runtime.before = async () => {}
    await api.until(() => api.heard.some(message => message.type === 'report' && message.complete))
  })

  test('a runtime that cannot say what it can is asked again', async () => {
    const { capabilities } = runtime
    runtime.capabilities = async () => {
      throw new Error('no bubblewrap')
    }
    agent = startAgent({ origin: api.origin, runtime })
    await eventually(() => agent!.lines.some(line => line.includes('no bubblewrap')))
    runtime.capabilities = capabilities
    await api.until(() => api.heard.some(message => message.type === 'report'))
  })
})

describe('what the operator allows', () => {
  test('is what the API is told, and nothing else is run or opened', async () => {
    agent = startAgent({
      origin: api.origin,
      runtime,
      policy: { kinds: ['desktop'], maxSessions: 2, featuresOff: ['exec', 'cdp', 'logs'] },
    })
    const hello = await api.until(() => api.heard.find(message => message.type === 'hello'))
    expect(hello).toMatchObject({ capabilities: { kinds: ['desktop'], features: ['display'], capacity: { sessions: 2 } } })
    await api.until(() => api.heard.some(message => message.type === 'report'))
    api.want(aDesired('ses_a'), aDesired('ses_b', { spec: aSpec({ kind: 'desktop' }) }))
    expect(await api.phase('ses_a', 'ended')).toMatchObject({
      cause: 'failed',
      reason: expect.stringContaining('does not run sessions of kind browser'),
    })
    await api.phase('ses_b', 'running')
    expect(await api.open({ kind: 'cdp', session: 'ses_b', target: {} })).toMatchObject({
      refused: { status: 403, code: 'forbidden' },
    })
    expect(runtime.calls).toEqual(['start ses-b-g1'])
  })
})

/** Under a fake clock: reports are gathered for a moment, so time must move for them to be sent. */
async function reported(clock: FakeClock, session: string, phase: ObservedSession['phase']): Promise<ObservedSession> {
  for (;;) {
    const item = api.observed.get(session)
    if (item?.phase === phase) return item
    await clock.advance(20)
  }
}

/** Moves when told, but signs with today's date. */
function todaysClock(): FakeClock {
  const clock = new FakeClock()
  clock.stepWall(Date.now() - clock.wall())
  return clock
}

async function echoServer(): Promise<Server> {
  const server = createServer(socket => socket.on('error', () => {}).pipe(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}
async function connected(server: Server): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
