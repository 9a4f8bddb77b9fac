import { expect, test } from 'vitest'
import { createEventParser, type ServerEvent } from './event-parser.ts'

const stream =
  ': hello\nid: evt_1\nevent: session.updated\ndata: {"a":1}\n\ndata: line one\ndata: line two\r\n\r\nid: evt_3\r\ndata:tight\r\n\r\n: ping\n\n'
const expected: ServerEvent[] = [
  { id: 'evt_1', event: 'session.updated', data: '{"a":1}' },
  { id: 'evt_1', event: 'message', data: 'line one\nline two' },
  { id: 'evt_3', event: 'message', data: 'tight' },
]

test('reads events, comments and both line ends', () => {
  expect(createEventParser().push(stream)).toEqual(expected)
})

test('every way to split the stream in two gives the same events', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const parser = createEventParser()
    expect([...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))]).toEqual(expected)
  }
})

test('one character at a time', () => {
  const parser = createEventParser()
  expect([...stream].flatMap(character => parser.push(character))).toEqual(expected)
})

test('an event that is not finished is not told', () => {
  const parser = createEventParser()
  expect(parser.push('data: half')).toEqual([])
  expect(parser.push('\n')).toEqual([])
  expect(parser.push('\n')).toEqual([{ id: null, event: 'message', data: 'half' }])
})

test('an id with a NUL is ignored, an event without data is not one', () => {
  expect(createEventParser().push('id: a\0b\ndata: x\n\nevent: ping\n\n')).toEqual([{ id: null, event: 'message', data: 'x' }])
})
