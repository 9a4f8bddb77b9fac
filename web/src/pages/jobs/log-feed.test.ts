import { expect, test } from 'vitest'
import { ApiError } from '../../api/api-error.ts'
import { type FeedState, feedLog } from './log-feed.ts'
import type { LogPiece } from './log-lines.ts'

const encoder = new TextEncoder()
const event = (id: string, text: string) => `id: ${id}\nevent: log\ndata: ${JSON.stringify({ attempt: 1, stream: '', text })}\n\n`
const end = 'event: end\ndata: {"status":"succeeded"}\n\n'

/** Answers one after the other; each is text in pieces, or a fault. */
async function run(answers: (string[] | Error)[]) {
  const asked: (string | null)[] = []
  const pieces: LogPiece[] = []
  const states: FeedState['word'][] = []
  const stop = new AbortController()
  await feedLog({
    open: async lastEventId => {
      asked.push(lastEventId)
      const answer = answers.shift()
      if (!answer) throw new Error('asked once too often')
      if (answer instanceof Error) throw answer
      return new Response(
        new ReadableStream({
          start(controller) {
            for (const piece of answer) controller.enqueue(encoder.encode(piece))
            controller.close()
          },
        }),
      )
    },
    onPieces: more => pieces.push(...more),
    onState: state => states.push(state.word),
    signal: stop.signal,
    sleep: async () => {},
    random: () => 0,
  })
  return { asked, text: pieces.map(piece => ('text' in piece ? piece.text : `[${piece.gap}]`)).join(''), states }
}

test('it goes on where it broke off, and ends when the log does', async () => {
  const cut = event('1:=5', 'hello')
  const { asked, text, states } = await run([
    [cut.slice(0, 20), cut.slice(20)],
    new Error('cable'),
    [event('1:=11', ' world'), end],
  ])
  expect(asked).toEqual([null, '1:=5', '1:=5'])
  expect(text).toBe('hello world')
  expect(states).toEqual(['opening', 'following', 'waiting', 'waiting', 'following', 'ended'])
})

test('a piece that did not arrive whole is asked for again', async () => {
  const { asked, text } = await run([
    [event('1:=1', 'a'), event('1:=2', 'b').slice(0, -3)],
    [event('1:=2', 'b'), end],
  ])
  expect(asked).toEqual([null, '1:=1'])
  expect(text).toBe('ab')
})

test('gaps are told, comments and events of a newer API are not', async () => {
  const gap = 'id: 1:=9\nevent: gap\ndata: {"stream":"","offset":4,"bytes":5}\n\n'
  const { text } = await run([[`retry: 1000\n: hi\n\n${gap}event: colour\ndata: red\n\n`, end]])
  expect(text).toBe('[5]')
})

test('what will not get better is not tried again', async () => {
  const { asked, states } = await run([new ApiError({ title: 'gone', status: 404 })])
  expect([asked.length, states.at(-1)]).toEqual([1, 'failed'])
})
