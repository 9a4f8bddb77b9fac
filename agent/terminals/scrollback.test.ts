import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Scrollback } from './scrollback.ts'

describe('scroll-back', () => {
  test('is the end of all that was written, at the same offsets, whatever the pieces', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 30 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), pieces, fc.nat(), fc.nat(), (capacity, written, from, most) => {
        const ring = new Scrollback(capacity)
        for (const piece of written) ring.push(Buffer.from(piece))
        const all = Buffer.concat(written)
        expect(ring.end).toBe(all.length)
        expect(ring.start).toBe(Math.max(0, all.length - capacity))
        const offset = ring.start + (from % (ring.end - ring.start + 1))
        expect(ring.read(offset, most).equals(all.subarray(offset, offset + most))).toBe(true)
      }),
    )
  })

  test('what was pushed out cannot be read, what was wiped neither', () => {
    const ring = new Scrollback(8)
    ring.push(Buffer.from('0123456789'))
    expect(() => ring.read(1, 1)).toThrow(RangeError)
    ring.wipe()
    expect(ring.start).toBe(10)
    ring.push(Buffer.from('ab'))
    expect(String(ring.read(10, 8))).toBe('ab')
  })

  test('after a gap it goes on with a whole line', () => {
    const ring = new Scrollback(16)
    ring.push(Buffer.from('first line\nsecond line\nthird'))
    expect(String(ring.read(ring.restart(), 99))).toBe('third')
    const endless = new Scrollback(16)
    endless.push(Buffer.alloc(40, 'x'))
    expect(endless.restart()).toBe(24)
  })
})
