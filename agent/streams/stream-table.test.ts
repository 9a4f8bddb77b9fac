/** Who may open a stream, what happens when opening fails at any point, and that nothing is left of it afterwards. */
import { type Duplex, duplexPair, PassThrough } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Open } from '#protocol/link-messages.ts'
import { DialError } from '../runtimes/runtime.ts'
import { ApiDouble, listen } from '../testing/api-double.ts'
import { aSpec } from '../testing/session-fixtures.ts'
import { eventually, TableWorld } from '../testing/table-world.ts'

let api: ApiDouble
let world: TableWorld
beforeAll(async () => {
  api = await ApiDouble.start()
})
afterAll(() => api.kill())
beforeEach(() => {
  world = new TableWorld(api)
})

/** A target that says how it ended. */
function target(): PassThrough {
  const socket = new PassThrough()
  world.runtime.onDial = async () => ({ kind: 'bytes', socket })
  return socket
}

describe('who may', () => {
  test.each<[string, Partial<Open>, Partial<TableWorld>, number, string]>([
    ['another session', { session: 'ses_b' }, {}, 404, 'not_found'],
    ['a session that does not run', {}, { running: false }, 409, 'conflict'],
    ['a port that is not declared', { target: { port: 22 } }, {}, 404, 'not_found'],
    ['no port', { target: {} }, {}, 404, 'not_found'],
    ['watching a port', { role: 'view' }, {}, 403, 'forbidden'],
    ['watching CDP', { kind: 'cdp', role: 'view' }, {}, 403, 'forbidden'],
    ['watching Playwright', { kind: 'playwright', role: 'view' }, {}, 403, 'forbidden'],
    [
      'writing files as a viewer',
      { kind: 'http', role: 'view', target: { request: { method: 'PUT', path: '/files/a', headers: {} } } },
      {},
      403,
      'forbidden',
    ],
    ['the screen of a headless session', { kind: 'vnc' }, { spec: aSpec({ headless: true }) }, 409, 'conflict'],
    ['a terminal that is not named', { kind: 'terminal' }, {}, 400, 'invalid'],
    ['watching a terminal', { kind: 'terminal', role: 'view' }, {}, 403, 'forbidden'],
  ])('%s: refused', async (_, open, change, status, code) => {
    Object.assign(world, change)
    expect(await world.outcome(world.open(open))).toMatchObject({ type: 'refused', status, code })
    expect(world.table.size).toBe(0)
  })

  test('what the cluster switched off', async () => {
    world = new TableWorld(api, { featuresOff: ['port'] })
    expect(await world.outcome(world.open())).toMatchObject({ status: 403, code: 'forbidden' })
  })

  test('no more than the limits: streams, and streams still being opened', async () => {
    world = new TableWorld(api, { maxStreams: 3, maxPendingDials: 2 })
    world.runtime.onDial = () => new Promise(() => {})
    const waiting = [world.open(), world.open()]
    expect(await world.outcome(world.open())).toMatchObject({
      status: 503,
      code: 'no_capacity',
      detail: expect.stringContaining('at once'),
    })
    for (const stream of waiting) world.table.close(stream, 1000, '')
    await Promise.all(waiting.map(stream => world.outcome(stream)))
    for (let round = 0; round < 3; round++) {
      target()
      await api.dataSocket(world.open())
    }
    expect(await world.outcome(world.open())).toMatchObject({
      status: 503,
      code: 'no_capacity',
      detail: expect.stringContaining('3 streams'),
    })
    await world.table.endAll({ code: 1001, reason: '' })
  })
})

describe('a session that was just taken from a pool', () => {
  test('its streams wait until it has its settings', async () => {
    target()
    let settled = () => {}
    world.settling = new Promise(resolve => {
      settled = () => {
        world.settling = null
        resolve()
      }
    })
    const stream = world.open()
    expect(world.table.list()).toEqual([stream])
    settled()
    await api.dataSocket(stream)
    await world.table.endAll({ code: 1001, reason: '' })
  })

  test('not for ever', async () => {
    world.settling = new Promise(() => {})
    const stream = world.open({ deadline_ms: 5_000 })
    await world.clock.advance(5_000)
    expect(await world.outcome(stream)).toMatchObject({ type: 'refused', status: 504, code: 'target_timeout' })
    expect(world.table.size).toBe(0)
  })
})

describe('opening that fails', () => {
  test('the target refuses: its status and code reach the viewer, no data socket is dialled', async () => {
    world.runtime.onDial = async () => {
      throw new DialError(428, 'playwright_version', 'use playwright 1.65')
    }
    const stream = world.open({ kind: 'playwright' })
    expect(await world.outcome(stream)).toMatchObject({
      type: 'refused',
      status: 428,
      code: 'playwright_version',
      detail: 'use playwright 1.65',
    })
  })

  test('the target breaks in a way nobody thought of', async () => {
    world.runtime.onDial = async () => {
      throw new Error('ECONNREFUSED')
    }
    expect(await world.outcome(world.open())).toMatchObject({ type: 'refused', status: 502, code: 'target_refused' })
  })

  test('the target never answers: 504 after ten seconds; one that answers later is let go of', async () => {
    const socket = new PassThrough()
    let answer = () => {}
    world.runtime.onDial = () => new Promise(resolve => (answer = () => resolve({ kind: 'bytes', socket })))
    const stream = world.open()
    await world.clock.advance(9_999)
    expect(world.told).toEqual([])
    await world.clock.advance(1)
    expect(await world.outcome(stream)).toMatchObject({ status: 504, code: 'target_timeout' })
    answer()
    await eventually(() => socket.destroyed)
  })

  test('a viewer with less patience', async () => {
    world.runtime.onDial = () => new Promise(() => {})
    const stream = world.open({ deadline_ms: 500 })
    await world.clock.advance(500)
    expect(await world.outcome(stream)).toMatchObject({ status: 504 })
  })

  test('closed while the target is being reached: told as closed, with that code', async () => {
    const socket = new PassThrough()
    let answer = () => {}
    world.runtime.onDial = (_, __, signal) => {
      expect(signal.aborted).toBe(false)
      return new Promise(resolve => (answer = () => resolve({ kind: 'bytes', socket })))
    }
    const stream = world.open()
    world.table.close(stream, 4403, 'revoked')
    expect(await world.outcome(stream)).toMatchObject({ type: 'closed', code: 4403, reason: 'revoked' })
    answer()
    await eventually(() => socket.destroyed)
  })

  test('the data socket is refused: 504, and the target is let go of', async () => {
    const socket = target()
    const stream = world.open({ key: 'wrong' })
    expect(await world.outcome(stream)).toMatchObject({ type: 'refused', status: 504, code: 'no_meeting' })
    expect(socket.destroyed).toBe(true)
  })

  test('nobody listens at the data socket’s address', async () => {
    const socket = target()
    expect(await world.outcome(world.open({ url: 'ws://127.0.0.1:9/x' }))).toMatchObject({ status: 504, code: 'no_meeting' })
    expect(socket.destroyed).toBe(true)
  })

  test('closed while the data socket is being dialled', async () => {
    const socket = target()
    const stream = world.open()
    await eventually(() => socket.listenerCount('error') > 0)
    world.table.close(stream, 4403, 'revoked')
    expect(await world.outcome(stream)).toMatchObject({ type: 'closed', code: 4403 })
    await eventually(() => socket.destroyed)
  })

  test('a screen that is none', async () => {
    const [near, far] = duplexPair()
    world.runtime.onDial = async () => ({ kind: 'bytes', socket: near })
    const stream = world.open({ kind: 'vnc' })
    far.write('SSH-2.0-x\r\n and more')
    expect(await world.outcome(stream)).toMatchObject({ status: 502, detail: expect.stringContaining('SSH') })
    expect(near.destroyed).toBe(true)
  })

  test('a screen that hangs up in its greeting', async () => {
    const [near, far] = duplexPair()
    world.runtime.onDial = async () => ({ kind: 'bytes', socket: near })
    const stream = world.open({ kind: 'vnc' })
    far.end('RFB 003')
    expect(await world.outcome(stream)).toMatchObject({ status: 502, detail: expect.stringContaining('closed') })
  })

  test('a screen with a password', async () => {
    const [near, far] = duplexPair()
    world.runtime.onDial = async () => ({ kind: 'bytes', socket: near })
    const stream = world.open({ kind: 'vnc' })
    far.write('RFB 003.008\n\x01\x02')
    expect(await world.outcome(stream)).toMatchObject({ status: 502, detail: expect.stringContaining('password') })
  })

  test('the same open twice is one stream', async () => {
    let dials = 0
    world.runtime.onDial = async () => {
      dials++
      return { kind: 'bytes', socket: new PassThrough() }
    }
    const stream = world.open()
    world.open({ stream })
    await api.dataSocket(stream)
    expect(dials).toBe(1)
    await world.table.endAll({ code: 1001, reason: '' })
  })
})

describe('an open stream ends', () => {
  async function opened(overrides: Partial<Open> = {}) {
    const socket = target()
    const stream = world.open(overrides)
    const far = listen(await api.dataSocket(stream))
    return { stream, socket, far }
  }

  test('when its grant runs out, unless renewed', async () => {
    const { stream, socket, far } = await opened({ remaining_ms: 1_000 })
    await world.clock.advance(900)
    world.table.renew(stream, 1_000)
    await world.clock.advance(900)
    expect(world.table.size).toBe(1)
    await world.clock.advance(100)
    expect(await far.closed).toEqual({ code: 4401, reason: 'token_ended' })
    await eventually(() => socket.destroyed)
    expect(await world.outcome(stream)).toMatchObject({ type: 'closed', code: 4401 })
    await letGoOfSpares()
    expect(world.clock.waiting).toBe(0)
  })

  test('with its session', async () => {
    const { stream, far } = await opened()
    world.table.endSession('ses_b', 'other')
    world.table.endSession('ses_a', 'its time was over')
    expect(await far.closed).toEqual({ code: 4410, reason: 'its time was over' })
    expect(await world.outcome(stream)).toMatchObject({ code: 4410 })
  })

  test('when the API says so, with any code it likes', async () => {
    const { stream, far } = await opened()
    world.table.close(stream, 1006, 'x'.repeat(500))
    expect((await far.closed).code).toBe(1011)
    await world.outcome(stream)
  })

  test('with the agent, every leg gone before it is done', async () => {
    const { far, socket } = await opened()
    await world.table.endAll({ code: 1001, reason: 'agent stops' })
    expect(await far.closed).toEqual({ code: 1001, reason: 'agent stops' })
    expect(world.table.size).toBe(0)
    await eventually(() => socket.destroyed)
  })

  test('when the target does: a clean end is 1000, an error 4410', async () => {
    const clean = await opened()
    clean.socket.push(null)
    expect(await clean.far.closed).toMatchObject({ code: 1000 })
    const broken = await opened()
    broken.socket.destroy(new Error('ECONNRESET'))
    expect(await broken.far.closed).toEqual({ code: 4410, reason: 'target: ECONNRESET' })
    await Promise.all([world.outcome(clean.stream), world.outcome(broken.stream)])
  })

  test('when the viewer does: the target is let go of', async () => {
    const { socket } = await opened()
    const again = await opened()
    ;(await api.dataSocket(again.stream)).close(1000, 'bye')
    expect(await world.outcome(again.stream)).toMatchObject({ type: 'closed', code: 1000, reason: 'bye' })
    await eventually(() => again.socket.destroyed)
    expect(socket.destroyed).toBe(false)
    await world.table.endAll({ code: 1001, reason: '' })
  })
})

describe('nothing is left', () => {
  test('after 1,000 streams opened and cut at every point', { timeout: 120_000 }, async () => {
    const targets: Duplex[] = []
    const cycle = async (round: number) => {
      const socket = new PassThrough()
      targets.push(socket)
      const late = round % 7 === 0
      world.runtime.onDial = async () => {
        if (round % 11 === 0) throw new DialError(502, 'target_refused', 'no')
        if (late) await new Promise(resolve => setImmediate(resolve))
        return { kind: 'bytes', socket }
      }
      const stream = world.open(round % 13 === 0 ? { key: 'wrong' } : {})
      if (round % 5 === 0) world.table.close(stream, 4403, 'revoked')
      else if (round % 5 === 1) await eventually(() => socket.listenerCount('error') > 0 || world.table.size === 0)
      if (round % 5 === 1) world.table.close(stream, 4403, 'revoked')
      else if (round % 11 !== 0 && round % 13 !== 0 && round % 5 !== 0) {
        const data = await api.dataSocket(stream)
        if (round % 5 === 2) data.terminate()
        else if (round % 5 === 3) {
          data.resume()
          socket.destroy()
        } else {
          data.resume()
          data.close(1000)
        }
      }
      await world.outcome(stream)
      world.told.length = 0
      if (round % 11 === 0) socket.destroy()
    }
    api.holdData = false
    for (let round = 0; round < 20; round++) await cycle(round)
    await eventually(() => targets.every(socket => socket.destroyed))
    await letGoOfSpares()
    await settled()
    const before = resources()
    for (let round = 0; round < 1000; round++) await cycle(round)
    await eventually(() => targets.every(socket => socket.destroyed))
    await letGoOfSpares()
    await settled()
    expect(world.table.size).toBe(0)
    expect(world.clock.waiting).toBe(0)
    expect(resources()).toEqual(before)
    api.holdData = true
  })
})

/** A connection that is kept for the next stream is not kept for ever. */
const letGoOfSpares = () => world.clock.advance(25_000)

function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) if (/TCP|Timeout|Pipe/.test(name)) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** Both sides' last words are over: ws closes a leg at the latest after its close timeout. */
async function settled(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 1_500))
}
