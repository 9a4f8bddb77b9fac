/** The reader beside `ws`'s own sender, however the bytes are cut; and every rule it keeps. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as ws from 'ws'
import { FrameReader } from './frame-reader.ts'
import { plainUnmask, unmask } from './unmask.ts'

interface Said {
  opcode: number
  fin: boolean
  payload: Buffer
}

type FrameOptions = {
  opcode: number
  fin: boolean
  mask: boolean
  readOnly: boolean
  rsv1: boolean
  generateMask?: (m: Buffer) => void
}
const framed = (payload: Buffer, { opcode = 2, fin = true, zero = false } = {}): Buffer => {
  const options: FrameOptions = { opcode, fin, mask: true, readOnly: true, rsv1: false }
  if (zero) options.generateMask = mask => void mask.fill(0)
  const frame = ((ws as unknown as { Sender: unknown }).Sender as { frame(data: Buffer, options: FrameOptions): Buffer[] }).frame
  return Buffer.concat(frame(Buffer.from(payload), options))
}

function read(parts: Buffer[], maxMessage = 1 << 20) {
  const pieces: Said[] = []
  const told: string[] = []
  const reader = new FrameReader(maxMessage, {
    piece({ opcode, fin, memory, floor, start, end }) {
      expect(start).toBeGreaterThanOrEqual(floor)
      pieces.push({ opcode, fin, payload: Buffer.from(memory.subarray(start, end)) })
      // As a relay does: the header of what goes on is written over what came before.
      memory.fill(0xee, floor, start)
      memory.fill(0xdd, start, end)
    },
    ping: payload => void told.push(`ping ${payload}`),
    close: (code, reason) => void told.push(`close ${code} ${reason}`),
    broken: (code, reason) => void told.push(`broken ${code} ${reason}`),
  })
  for (const part of parts) {
    const memory = Buffer.concat([Buffer.alloc(16), part])
    reader.feed(memory, 16, memory.length)
  }
  return { pieces, told }
}

/** Messages put together again, whatever they were cut into. */
function messagesOf(pieces: Said[]): { type: number; payload: Buffer }[] {
  const messages: { type: number; payload: Buffer }[] = []
  let open: { type: number; parts: Buffer[] } | null = null
  for (const { opcode, fin, payload } of pieces) {
    expect(opcode === 0).toBe(open !== null)
    open ??= { type: opcode, parts: [] }
    open.parts.push(payload)
    if (fin) {
      messages.push({ type: open.type, payload: Buffer.concat(open.parts) })
      open = null
    }
  }
  return messages
}

const cut = (bytes: Buffer, sizes: number[]) => {
  const parts: Buffer[] = []
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = Math.max(1, sizes[n % sizes.length]!)
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return parts
}

const message = fc.record({
  text: fc.boolean(),
  zero: fc.boolean(),
  frames: fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 125, max: 70_000 }).map(size => new Uint8Array(size).fill(size)),
    ),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
  ping: fc.boolean(),
})

describe('frames', () => {
  test('come out as they went in, wherever the reads cut them, pings between frames too', () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 }),
        (messages, sizes) => {
          const wire: Buffer[] = []
          for (const { text, zero, frames, ping } of messages)
            frames.forEach((frame, n) => {
              const opcode = n > 0 ? 0 : text ? 1 : 2
              wire.push(framed(Buffer.from(frame), { opcode, fin: n === frames.length - 1, zero }))
              if (ping) wire.push(framed(Buffer.from('p'), { opcode: 9 }))
            })
          const { pieces, told } = read(cut(Buffer.concat(wire), sizes))
          expect(messagesOf(pieces)).toEqual(
            messages.map(({ text, frames }) => ({ type: text ? 1 : 2, payload: Buffer.concat(frames) })),
          )
          expect(told).toEqual(messages.flatMap(({ ping, frames }) => (ping ? frames.map(() => 'ping p') : [])))
        },
      ),
      { numRuns: 150 },
    )
  })

  test('cut into single bytes', () => {
    const payload = Buffer.from([...Array(300).keys()].map(n => n & 0xff))
    const wire = Buffer.concat([framed(payload), framed(Buffer.alloc(0), { opcode: 1 }), framed(Buffer.from('x'), { opcode: 1 })])
    expect(messagesOf(read(cut(wire, [1])).pieces)).toEqual([
      { type: 2, payload },
      { type: 1, payload: Buffer.alloc(0) },
      { type: 1, payload: Buffer.from('x') },
    ])
  })

  test('a large one that trickles in goes on in parts worth a header', () => {
    const payload = Buffer.alloc(1_000_000, 'trickle')
    const { pieces } = read(cut(framed(payload), [1000]))
    expect(messagesOf(pieces)).toEqual([{ type: 2, payload }])
    expect(pieces.slice(0, -1).every(piece => piece.payload.length >= 16 * 1024)).toBe(true)
  })

  test('a goodbye has its code and reason; nothing after it is told', () => {
    const bye = Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from('bye é')])
    const { pieces, told } = read([Buffer.concat([framed(bye, { opcode: 8 }), framed(Buffer.from('late'))])])
    expect([pieces, told]).toEqual([[], ['close 4000 bye é']])
    expect(read([framed(Buffer.alloc(0), { opcode: 8 })]).told).toEqual(['close 1005 '])
  })
})

describe('a broken rule ends it', () => {
  const raw = (...bytes: number[]) => Buffer.from([...bytes, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0])
  test.each([
    ['reserved bits', raw(0xc2, 0x81), 1002],
    ['an unknown opcode', raw(0x83, 0x81), 1002],
    ['an unknown control opcode', raw(0x8b, 0x81), 1002],
    ['no mask', raw(0x82, 0x01), 1002],
    ['a ping in parts', raw(0x09, 0x81), 1002],
    ['a long ping', raw(0x89, 0xfe), 1002],
    ['a continuation of nothing', raw(0x80, 0x81), 1002],
    ['a message within a message', Buffer.concat([framed(Buffer.from('a'), { fin: false }), framed(Buffer.from('b'))]), 1002],
    ['a goodbye of one byte', framed(Buffer.from([3]), { opcode: 8 }), 1002],
    ['a goodbye that nobody may say', framed(Buffer.from([0x03, 0xed]), { opcode: 8 }), 1002],
    ['a message too long', framed(Buffer.alloc(1025)), 1009],
    [
      'one of many parts too long',
      Buffer.concat([framed(Buffer.alloc(1000), { fin: false }), framed(Buffer.alloc(25), { opcode: 0 })]),
      1009,
    ],
    ['a length of 64 bits', raw(0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1009],
  ])('%s', (_, wire, code) => {
    const { told } = read([Buffer.concat([wire, framed(Buffer.from('after'))])], 1024)
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(new RegExp(`^broken ${code}`))
  })
})

test('a mask comes off alike with and without native code', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes, mask) => {
      const [one, other] = [Buffer.from(bytes), Buffer.from(bytes)]
      unmask(one, Buffer.from(mask))
      plainUnmask(other, Buffer.from(mask))
      expect(one.equals(other)).toBe(true)
    }),
  )
})
