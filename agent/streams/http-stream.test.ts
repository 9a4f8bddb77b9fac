/** Requests to a session's host: streamed both ways, metered, and never a truncated success. */
import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CreditWindow, httpChunk, httpWindow } from '#protocol/http-frames.ts'
import { DialError, type HostRequest } from '../runtimes/runtime.ts'
import { ApiDouble } from '../testing/api-double.ts'
import { ApiEnd } from '../testing/api-end.ts'
import { settle } from '../testing/fake-clock.ts'
import { eventually, TableWorld } from '../testing/table-world.ts'
import { ArrivingBody } from './http-stream.ts'

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

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const request = (method: 'GET' | 'PUT', path = '/files/a') => ({
  kind: 'http' as const,
  target: { request: { method, path, headers: {} } },
})
async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function opened(overrides: Parameters<TableWorld['open']>[0]): Promise<{ stream: string; end: ApiEnd }> {
  const stream = world.open(overrides)
  return { stream, end: new ApiEnd(await api.dataSocket(stream)) }
}

describe('an answer', () => {
  test('head, body and end, then 1000; five megabytes whole', async () => {
    const bytes = randomBytes(5_000_000)
    let asked: HostRequest | null = null
    world.runtime.onHost = async (_, what) => {
      asked = what
      return { status: 200, headers: { 'content-type': 'image/png' }, body: chunks(bytes, 100_000) }
    }
    const { stream, end } = await opened(request('GET', '/screenshot?full=1'))
    expect(await world.outcome(stream)).toMatchObject({ type: 'closed', code: 1000, bytes_out: bytes.length })
    await eventually(() => end.closed !== null)
    expect(end.head).toEqual({ type: 'head', status: 200, headers: { 'content-type': 'image/png' } })
    expect([end.ended, digest(Buffer.concat(end.body))]).toEqual([true, digest(bytes)])
    expect(asked).toMatchObject({ method: 'GET', path: '/screenshot?full=1' })
  })

  test('an empty body', async () => {
    world.runtime.onHost = async () => ({ status: 204, headers: {}, body: chunks(Buffer.alloc(0), 1) })
    const { end } = await opened(request('GET'))
    await eventually(() => end.closed !== null)
    expect([end.head?.status, end.size, end.ended]).toEqual([204, 0, true])
  })

  test('no faster than it is taken: one window, then nothing, then the rest', async () => {
    const total = 3_000_000
    let made = 0
    world.runtime.onHost = async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for (; made < total; made += 10_000) yield Buffer.alloc(10_000)
      })(),
    })
    const stream = world.open(request('GET'))
    const end = new ApiEnd(await api.dataSocket(stream))
    end.taking = false
    await eventually(() => end.size === httpWindow)
    await settle()
    expect(made).toBeLessThan(httpWindow + 20_000)
    end.taking = true
    end.grant()
    await eventually(() => end.ended)
    expect(end.size).toBe(total)
  })

  test('a body that breaks is never a success', async () => {
    world.runtime.onHost = async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        yield Buffer.from('half')
        throw new Error('disk gone')
      })(),
    })
    const { end } = await opened(request('GET'))
    await eventually(() => end.closed !== null)
    expect([end.ended, end.closed]).toEqual([false, { code: 4410, reason: 'cut: disk gone' }])
  })

  test('nobody takes it for two minutes: stalled, and the host is let go of', async () => {
    let stopped = false
    world.runtime.onHost = async (_, { signal }) => {
      signal.addEventListener('abort', () => (stopped = true))
      return { status: 200, headers: {}, body: chunks(Buffer.alloc(5_000_000), 60_000) }
    }
    const { stream, end } = await opened(request('GET'))
    end.taking = false
    end.credit = 0
    await eventually(() => end.size >= httpWindow)
    await world.clock.advance(20_000)
    await world.clock.advance(140_000)
    expect(await world.outcome(stream)).toMatchObject({ code: 4508 })
    expect(stopped).toBe(true)
  })

  test('the viewer leaves in the middle: the host is told', async () => {
    let stopped = false
    world.runtime.onHost = async (_, { signal }) => {
      signal.addEventListener('abort', () => (stopped = true))
      return {
        status: 200,
        headers: {},
        body: (async function* () {
          for (;;) {
            yield Buffer.alloc(1000)
            await settle()
          }
        })(),
      }
    }
    const { stream, end } = await opened(request('GET'))
    await eventually(() => end.size > 0)
    end.cut()
    await world.outcome(stream)
    expect(stopped).toBe(true)
  })

  test('a host that refuses is told before any data socket', async () => {
    world.runtime.onHost = async () => {
      throw new DialError(503, 'not_running', 'the host is gone')
    }
    expect(await world.outcome(world.open(request('GET')))).toMatchObject({ type: 'refused', status: 503, code: 'not_running' })
  })
})

describe('a request with a body', () => {
  test('arrives whole, is acknowledged as it is taken, and counts as activity', async () => {
    const bytes = randomBytes(3_000_000)
    const got: Uint8Array[] = []
    world.runtime.onHost = async (_, { body }) => {
      for await (const part of body!) got.push(part)
      return { status: 201, headers: {}, body: chunks(Buffer.from('ok'), 10) }
    }
    const { end } = await opened(request('PUT'))
    await end.upload(bytes)
    await eventually(() => end.closed !== null)
    expect(digest(Buffer.concat(got))).toBe(digest(bytes))
    expect([end.head?.status, end.ended, world.active]).toEqual([201, true, 1])
  })

  test('a host that answers early is heard, whatever it has read', async () => {
    world.runtime.onHost = async () => ({ status: 413, headers: {}, body: chunks(Buffer.from('too big'), 10) })
    const { end } = await opened(request('PUT'))
    void end.upload(Buffer.alloc(2_000_000)).catch(() => {})
    await eventually(() => end.closed !== null)
    expect([end.head?.status, end.ended, Buffer.concat(end.body).toString()]).toEqual([413, true, 'too big'])
  })

  test('a host that refuses becomes a problem', async () => {
    world.runtime.onHost = async () => {
      throw new DialError(507, 'no_space', 'the disk is full')
    }
    const { end } = await opened(request('PUT'))
    await eventually(() => end.closed !== null)
    expect(end.head).toMatchObject({ status: 507, headers: { 'content-type': 'application/problem+json' } })
    expect(JSON.parse(Buffer.concat(end.body).toString())).toMatchObject({ code: 'no_space', detail: 'the disk is full' })
  })

  test('a body that is cut is an error for the host, not an end', async () => {
    let failure: unknown = null
    world.runtime.onHost = async (_, { body }) => {
      try {
        for await (const _part of body!);
      } catch (error) {
        failure = error
      }
      return { status: 200, headers: {}, body: chunks(Buffer.alloc(0), 1) }
    }
    const { stream, end } = await opened(request('PUT'))
    end.say({ type: 'credit', total: 0 })
    await settle()
    end.cut()
    await world.outcome(stream)
    await eventually(() => failure !== null)
  })

  test.each<[string, (end: ApiEnd) => void]>([
    ['more than the window', end => end.socket.send(Buffer.alloc(httpWindow + 1))],
    ['a head', end => end.say({ type: 'head', status: 200, headers: {} })],
    ['nonsense', end => end.socket.send('nonsense')],
    [
      'a body after its end',
      end => {
        end.say({ type: 'end' })
        end.socket.send(Buffer.from('x'))
      },
    ],
  ])('%s from the API ends with 4400', async (_, act) => {
    world.runtime.onHost = () => new Promise(() => {})
    const { stream, end } = await opened(request('PUT'))
    act(end)
    expect(await world.outcome(stream)).toMatchObject({ code: 4400 })
  })
})

describe('a volume', () => {
  const archive = (method: 'GET' | 'PUT') => ({
    kind: 'http' as const,
    session: 'vol_1',
    target: { volume: 'vol_1', request: { method, path: '/archive', headers: {} } },
  })

  test('its archive, with no session at all', async () => {
    const asked: string[] = []
    world.runtime.volumes = {
      remove: async () => {},
      archive: async (volume, { method }) => {
        asked.push(`${method} ${volume}`)
        return { status: 200, headers: {}, body: chunks(Buffer.from('tar'), 10) }
      },
    }
    for (const method of ['GET', 'PUT'] as const) {
      const { end } = await opened(archive(method))
      if (method === 'PUT') await end.upload(Buffer.from('new'))
      await eventually(() => end.closed !== null)
      expect([end.ended, Buffer.concat(end.body).toString()]).toEqual([true, 'tar'])
    }
    expect(asked).toEqual(['GET vol_1', 'PUT vol_1'])
    expect(world.active).toBe(0)
  })

  test('only where there are volumes, and for who may write', async () => {
    expect(await world.outcome(world.open(archive('GET')))).toMatchObject({ type: 'refused', status: 501 })
    world.runtime.volumes = { remove: async () => {}, archive: () => new Promise(() => {}) }
    expect(await world.outcome(world.open({ ...archive('GET'), role: 'view' }))).toMatchObject({ type: 'refused', status: 403 })
    world = new TableWorld(api, { featuresOff: ['volumes'] })
    expect(await world.outcome(world.open(archive('GET')))).toMatchObject({ type: 'refused', status: 403 })
  })
})

describe('credit', () => {
  test('any crossing of chunks and grants: nothing is stuck, nothing is lost, never beyond the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1_500_000 }),
        fc.array(fc.integer({ min: 5_000, max: httpChunk }), { minLength: 1 }),
        fc.infiniteStream(fc.nat(3)),
        async (total, sizes, delays) => {
          const window = new CreditWindow()
          const grants: number[] = []
          const body = new ArrivingBody(credit => grants.push(credit))
          const late = async () => {
            for (let turns = delays.next().value!; turns > 0; turns--) await Promise.resolve()
          }
          const send = async () => {
            for (let at = 0, index = 0; at < total; index++) {
              await window.waitForRoom()
              const size = Math.min(sizes[index % sizes.length]!, total - at, window.room)
              window.spend(size)
              body.push(Buffer.alloc(size))
              at += size
              await late()
              // Grants may come late, twice, and in any order.
              for (const credit of grants.splice(0).reverse()) window.grant(credit)
            }
            body.end()
          }
          let taken = 0
          const take = async () => {
            for await (const part of body) {
              taken += part.length
              await late()
              if (window.room <= 0) for (const credit of grants.splice(0)) window.grant(credit)
            }
          }
          const pump = { over: false }
          const grantLater = async () => {
            while (!pump.over) {
              for (const credit of grants.slice()) window.grant(credit)
              await new Promise(resolve => setImmediate(resolve))
            }
          }
          const granting = grantLater()
          await Promise.all([send(), take()])
          pump.over = true
          await granting
          expect(taken).toBe(total)
        },
      ),
      { numRuns: 60 },
    )
  })
})
