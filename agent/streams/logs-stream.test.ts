import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { DialError, type LogOptions } from '../runtimes/runtime.ts'
import { ApiDouble, listen } from '../testing/api-double.ts'
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
afterEach(() => world.table.endAll({ code: 1001, reason: 'test over' }))

const logs = (follow = false) => ({ kind: 'logs' as const, target: { logs: { follow, tail_lines: 10 } } })
const closed = (signal: AbortSignal) => new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))

test('what is there, then 1000; also of a session that does not run any more', async () => {
  let asked: LogOptions | null = null
  world.running = false
  world.runtime.onLogs = async function* (_, options) {
    asked = options
    yield Buffer.from('one\n')
    yield Buffer.alloc(200_000, 65)
  }
  const stream = world.open(logs())
  const heard = listen(await api.dataSocket(stream))
  expect(await heard.closed).toMatchObject({ code: 1000 })
  expect(heard.bytes().length).toBe(200_004)
  expect(Math.max(...heard.messages.map(message => message.length))).toBeLessThanOrEqual(65_536)
  expect(asked).toMatchObject({ tailLines: 10, follow: false })
})

test('an error at once is an answer', async () => {
  world.runtime.onLogs = async function* () {
    throw new DialError(404, 'not_found', 'no such container')
    // biome-ignore lint/correctness/noUnreachable: makes it a generator of bytes
    yield Buffer.alloc(0)
  }
  expect(await world.outcome(world.open(logs()))).toMatchObject({ type: 'refused', status: 404, detail: 'no such container' })
})

test('silence is opened after a moment; the runtime is told when the viewer leaves', async () => {
  let stopped = false
  world.runtime.onLogs = async function* (_, { signal }) {
    await closed(signal)
    stopped = true
    yield Buffer.from('too late')
  }
  const stream = world.open(logs(true))
  await world.clock.advance(100)
  const socket = await api.dataSocket(stream)
  listen(socket)
  socket.close(1000)
  await world.outcome(stream)
  await eventually(() => stopped)
})

test('an error later ends it with the reason', async () => {
  world.runtime.onLogs = async function* () {
    yield Buffer.from('one\n')
    throw new Error('file gone')
  }
  const heard = listen(await api.dataSocket(world.open(logs(true))))
  expect(await heard.closed).toEqual({ code: 4410, reason: 'logs: file gone' })
})

test('no faster than the viewer reads', async () => {
  let made = 0
  world.runtime.onLogs = async function* () {
    for (; made < 64; made++) yield Buffer.alloc(1024 * 1024)
  }
  const socket = await api.dataSocket(world.open(logs()))
  for (let same = 0, last = -1; same < 15; last = made) {
    await new Promise(resolve => setTimeout(resolve, 10))
    same = made === last ? same + 1 : 0
  }
  expect(made).toBeLessThan(24)
  const heard = listen(socket)
  await heard.closed
  expect(heard.bytes().length).toBe(64 * 1024 * 1024)
})
