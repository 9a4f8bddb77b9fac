import { expect, test, vi } from 'vitest'
import type { LiveEvent } from '../api/contract.ts'
import { type LinkState, openEventStream } from './event-stream.ts'

/** A fetch whose answers the test writes by hand. */
function scriptedFetch() {
  const calls: { headers: Headers; answer: (response: Response) => void; fail: (error: Error) => void }[] = []
  const waiting: (() => void)[] = []
  const fake: typeof fetch = (_url, init) =>
    new Promise((resolve, reject) => {
      calls.push({ headers: new Headers(init?.headers), answer: resolve, fail: reject })
      init?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
      waiting.shift()?.()
    })
  async function call(index: number) {
    while (calls.length <= index) await new Promise<void>(resolve => waiting.push(resolve))
    return calls[index]!
  }
  return { fetch: fake, call, calls }
}

function liveBody() {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const body = new ReadableStream<Uint8Array>({ start: one => void (controller = one) })
  const write = (text: string) => controller.enqueue(new TextEncoder().encode(text))
  return {
    response: new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
    write,
    end: () => controller.close(),
  }
}

function open(over: { onSignedOut?: () => void; onGap?: () => void; silenceMs?: number } = {}) {
  const stop = new AbortController()
  const scripted = scriptedFetch()
  const events: LiveEvent[] = []
  const states: LinkState[] = []
  const heard: (() => void)[] = []
  const stream = openEventStream({
    url: '/v1/events',
    fetch: scripted.fetch,
    signal: stop.signal,
    random: () => 0,
    onEvent: event => {
      events.push(event)
      heard.shift()?.()
    },
    onState: state => states.push(state),
    onSignedOut: () => {},
    onGap: () => {},
    ...over,
  })
  const nextEvent = () => new Promise<void>(resolve => heard.push(resolve))
  return { ...scripted, stream, stop, events, states, nextEvent }
}

const message = (id: string) => `id: ${id}\nevent: session.updated\ndata: {"id":"${id}","type":"session.updated"}\n\n`

test('resumes after a lost connection with the last id it saw', async () => {
  const link = open()
  const body = liveBody()
  const first = await link.call(0)
  expect(first.headers.get('last-event-id')).toBeNull()
  first.answer(body.response)
  const heard = link.nextEvent()
  body.write(message('evt_7'))
  await heard
  body.end()
  await vi.waitFor(() => expect(link.states.at(-1)?.phase).toBe('waiting'), { timeout: 30_000 })
  link.stream.wake()
  const second = await link.call(1)
  expect(second.headers.get('last-event-id')).toBe('evt_7')
  link.stop.abort()
  await link.stream.done
  expect(link.events.map(event => event.id)).toEqual(['evt_7'])
  expect(link.states.at(-1)).toEqual({ phase: 'closed' })
})

test('an id the server refuses is given up', async () => {
  const link = open()
  const body = liveBody()
  const first = await link.call(0)
  first.answer(body.response)
  const heard = link.nextEvent()
  body.write(message('evt_old'))
  await heard
  body.end()
  await vi.waitFor(() => expect(link.states.at(-1)?.phase).toBe('waiting'), { timeout: 30_000 })
  link.stream.wake()
  const second = await link.call(1)
  second.answer(new Response('gone', { status: 410 }))
  await vi.waitFor(() => expect(link.states.filter(state => state.phase === 'waiting')).toHaveLength(2), { timeout: 30_000 })
  link.stream.wake()
  const third = await link.call(2)
  expect(third.headers.get('last-event-id')).toBeNull()
  link.stop.abort()
  await link.stream.done
})

test('a 401 ends it and says so', async () => {
  const onSignedOut = vi.fn()
  const link = open({ onSignedOut })
  const first = await link.call(0)
  first.answer(new Response('{}', { status: 401 }))
  await link.stream.done
  expect(onSignedOut).toHaveBeenCalledOnce()
  expect(link.calls).toHaveLength(1)
})

test('a 403 ends it without ado: this token may not hear of anything', async () => {
  const link = open({ onSignedOut: () => expect.unreachable() })
  const first = await link.call(0)
  first.answer(new Response('{}', { status: 403 }))
  await link.stream.done
  expect(link.states.at(-1)).toEqual({ phase: 'deaf' })
  expect(link.calls).toHaveLength(1)
})

test('silence is a dead connection', async () => {
  const link = open({ silenceMs: 20 })
  const first = await link.call(0)
  first.answer(liveBody().response)
  // Nothing is ever written; the second call proves that the first was given up.
  await link.call(1)
  link.stop.abort()
  await link.stream.done
})

test('a server that no longer knows our place says so, and it is passed on', async () => {
  const gap = Promise.withResolvers<void>()
  const link = open({ onGap: gap.resolve })
  const body = liveBody()
  const first = await link.call(0)
  first.answer(body.response)
  body.write('retry: 1000\nevent: resync\ndata: {}\n\n')
  await gap.promise
  expect(link.events).toEqual([])
  link.stop.abort()
  await link.stream.done
})

test('a broken event is skipped, the next one is heard', async () => {
  const link = open()
  const body = liveBody()
  const first = await link.call(0)
  first.answer(body.response)
  const heard = link.nextEvent()
  body.write(`data: {not json\n\ndata: "text"\n\n${message('evt_ok')}`)
  await heard
  expect(link.events.map(event => event.id)).toEqual(['evt_ok'])
  link.stop.abort()
  await link.stream.done
})
