import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as sample from '../../testing/rfb-samples.ts'
import { PlainViewerGuard } from './plain-viewer.ts'

const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
const u32 = (value: number) => Buffer.from([(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255])
const filled = (length: number) => Buffer.alloc(length, 3)

const serverInit = Buffer.concat([
  u16(640),
  u16(480),
  Buffer.from('20180001', 'hex'),
  Buffer.alloc(12),
  u32(4),
  Buffer.from('name'),
])
const rect = (width: number, height: number, encoding: number, body: Buffer) =>
  Buffer.concat([u16(0), u16(0), u16(width), u16(height), u32(encoding), body])
const update = (...rects: Buffer[]) => Buffer.concat([Buffer.from([0, 0]), u16(rects.length), ...rects])

/** Made so that every byte of a body would be read as the beginning of a clipboard message by someone out of step. */
const size = fc.integer({ min: 0, max: 9 })
const anyRect = fc
  .tuple(size, size, fc.nat(30), fc.constantFrom(0, 1, 2, 6, 16, -223, -232, -239, -240, -258, -261, -307, -308))
  .map(([w, h, n, encoding]) => {
    const mask = Math.floor((w + 7) / 8) * h
    const body: Record<number, Buffer> = {
      0: filled(w * h * 4),
      1: filled(4),
      2: Buffer.concat([u32(n), filled(4 + n * 12)]),
      6: Buffer.concat([u32(n), filled(n)]),
      16: Buffer.concat([u32(n), filled(n)]),
      [-239]: filled(w * h * 4 + mask),
      [-240]: w * h === 0 ? filled(0) : filled(6 + 2 * mask),
      [-261]: filled(1),
      [-307]: Buffer.concat([u32(n), filled(n)]),
      [-308]: Buffer.concat([Buffer.from([n, 0, 0, 0]), filled(16 * n)]),
    }
    return rect(w, h, encoding, body[encoding] ?? Buffer.alloc(0))
  })
const anyMessage = fc.oneof(
  fc.array(anyRect, { maxLength: 5 }).map(rects => ({ bytes: update(...rects), clipboard: false })),
  // An open-ended update, closed by LastRect.
  fc.array(anyRect, { maxLength: 3 }).map(rects => ({
    bytes: Buffer.concat([Buffer.from([0, 0, 255, 255]), ...rects, rect(0, 0, -224, Buffer.alloc(0))]),
    clipboard: false,
  })),
  fc.constant({ bytes: Buffer.from([2]), clipboard: false }),
  fc.constant({ bytes: Buffer.from([150]), clipboard: false }),
  fc.nat(64).map(length => ({ bytes: sample.fence(length), clipboard: false })),
  fc.nat(20).map(n => ({ bytes: Buffer.concat([Buffer.from([1, 0, 0, 0]), u16(n), filled(6 * n)]), clipboard: false })),
  fc
    .nat(100)
    .map(length => ({ bytes: Buffer.concat([Buffer.from([3, 0, 0, 0]), u32(length), filled(length)]), clipboard: true })),
  fc
    .integer({ min: 4, max: 100 })
    .map(length => ({ bytes: Buffer.concat([Buffer.from([3, 0, 0, 0]), u32(-length), filled(length)]), clipboard: true })),
)

function through(guard: PlainViewerGuard, pieces: Buffer[]): Buffer {
  return Buffer.concat(pieces.map(piece => guard.feed(piece) ?? Buffer.alloc(0)))
}

describe('plain viewers', () => {
  test('exactly the clipboard messages are missing, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 60 })), (messages, cuts) => {
        const all = Buffer.concat([serverInit, ...messages.map(message => message.bytes)])
        const expected = Buffer.concat([
          serverInit,
          ...messages.filter(message => !message.clipboard).map(message => message.bytes),
        ])
        expect(through(new PlainViewerGuard(), sample.inPieces(all, cuts))).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('follows the pixel format', () => {
    const guard = new PlainViewerGuard()
    guard.feed(serverInit)
    guard.pixelFormat(Buffer.from([0, 0, 0, 0, 8]))
    const picture = update(rect(5, 5, 0, filled(25)))
    const notice = Buffer.concat([Buffer.from([3, 0, 0, 0]), u32(-4), filled(4)])
    expect(through(guard, [Buffer.concat([picture, notice, picture])])).toEqual(Buffer.concat([picture, picture]))
  })

  test('opened in the middle of a notice, it leaves out the rest of it and nothing more', () => {
    const notice = Buffer.concat([Buffer.from([3, 0, 0, 0]), u32(-10), filled(10)])
    for (let cut = 0; cut <= notice.length; cut++) {
      const guard = new PlainViewerGuard()
      guard.feed(serverInit)
      const first = guard.feed(notice.subarray(0, cut))
      guard.letAllThrough()
      const rest = through(guard, [Buffer.concat([notice.subarray(cut), Buffer.from([2, 7, 7])])])
      // A notice whose head was incomplete is passed whole instead: the viewer knows it now.
      expect(Buffer.concat([first ?? Buffer.alloc(0), rest])).toEqual(
        Buffer.concat([cut >= 8 ? Buffer.alloc(0) : notice, Buffer.from([2, 7, 7])]),
      )
    }
  })

  test('what it does not know it leaves alone', () => {
    const guard = new PlainViewerGuard()
    guard.feed(serverInit)
    const strange = Buffer.from([99, 3, 0, 0, 0, 0, 0, 0, 1, 1])
    expect(through(guard, [strange, strange])).toEqual(Buffer.concat([strange, strange]))
  })
})
