import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { httpWindow } from '#protocol/http-frames.ts'
import type { JobRuntime } from '../runtimes/job-runtime.ts'
import { DialError, type LogOptions } from '../runtimes/runtime.ts'
import { ApiDouble } from '../testing/api-double.ts'
import { ApiEnd } from '../testing/api-end.ts'
import { settle } from '../testing/fake-clock.ts'
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
  const end = new ApiEnd(await api.dataSocket(stream))
  await eventually(() => end.closed !== null)
  expect([end.closed?.code, end.ended, end.size]).toEqual([1000, true, 200_004])
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
  const end = new ApiEnd(await api.dataSocket(stream))
  end.socket.close(1000)
  await world.outcome(stream)
  await eventually(() => stopped)
})

test('an error later ends it with the reason', async () => {
  world.runtime.onLogs = async function* () {
    yield Buffer.from('one\n')
    throw new Error('file gone')
  }
  const end = new ApiEnd(await api.dataSocket(world.open(logs(true))))
  await eventually(() => end.closed !== null)
  expect([end.closed, end.ended]).toEqual([{ code: 4410, reason: 'cut: file gone' }, false])
})

test('no faster than the viewer reads', async () => {
  let made = 0
  world.runtime.onLogs = async function* () {
    for (; made < 64; made++) yield Buffer.alloc(1024 * 1024)
  }
  const stream = world.open(logs())
  const end = new ApiEnd(await api.dataSocket(stream))
  end.taking = false
  await eventually(() => end.size === httpWindow)
  await settle()
  expect(made).toBeLessThan(3)
  end.taking = true
  end.grant()
  await eventually(() => end.closed !== null)
  expect([end.ended, end.size]).toEqual([true, 64 * 1024 * 1024])
})

describe('of a job', () => {
  const of = { type: 'manifest' as const, attempt: 1, project: 'prj_a', set: 'shop' }
  const live = { kind: 'logs' as const, role: 'view' as const, session: 'job_a' }
  const wish = { logs: { follow: true, tail_lines: 3, pod: 'web-1', job: of } }
  const jobs = (output: JobRuntime['output']) => {
    world.runtime.jobs = { output } as JobRuntime
  }

  test('what its pod writes, and in the head which it is and which others there are; ends with its viewer', async () => {
    let stopped = false
    let asked: unknown = null
    jobs(async (job, by, { signal, ...options }) => {
      asked = { job, by, options }
      const output = (async function* () {
        yield Buffer.from('one\n')
        await closed(signal)
        stopped = true
      })()
      return { stream: 'web-1/main', streams: ['web-1/main', 'web-2/main'], output }
    })
    const stream = world.open({ ...live, target: wish })
    const end = new ApiEnd(await api.dataSocket(stream))
    await eventually(() => end.size === 4)
    expect(end.head?.headers).toEqual({ 'x-log-stream': 'web-1/main', 'x-log-streams': 'web-1/main, web-2/main' })
    expect(asked).toEqual({ job: 'job_a', by: of, options: { follow: true, tailLines: 3, pod: 'web-1' } })
    end.socket.close(1000)
    await world.outcome(stream)
    await eventually(() => stopped)
  })

  test('what the runtime refuses is an answer', async () => {
    jobs(async () => {
      throw new DialError(409, 'job_not_running', 'no pod of the job runs')
    })
    const refused = { type: 'refused', status: 409, code: 'job_not_running', detail: 'no pod of the job runs' }
    expect(await world.outcome(world.open({ ...live, target: wish }))).toMatchObject(refused)
  })

  test('not where the runtime has none, nor of an API that does not say whose pods', async () => {
    expect(await world.outcome(world.open({ ...live, target: wish }))).toMatchObject({ type: 'refused', status: 501 })
    jobs(async () => ({ stream: 'a/b', streams: [], output: (async function* () {})() }))
    const target = { logs: { follow: false } }
    expect(await world.outcome(world.open({ ...live, target }))).toMatchObject({ type: 'refused', status: 501 })
  })

  test.each(['logs', 'logs_jobs', 'jobs'])('not where the operator switched off %s', async word => {
    const closedWorld = new TableWorld(api, { featuresOff: [word] })
    expect(await closedWorld.outcome(closedWorld.open({ ...live, target: wish }))).toMatchObject({
      status: 403,
      code: 'forbidden',
    })
  })
})
