import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WireError } from '#protocol/close-codes.ts'
import * as sample from '../../testing/rfb-samples.ts'
import { clipboardCap } from './client-messages.ts'
import { encoding, setEncodings, silentCaps, ViewerFilter, type ViewerRights } from './viewer-filter.ts'

const maxDisplay = { width: 3840, height: 2160 }
const view: ViewerRights = { control: false, clipboard: { in: false, out: false }, maxDisplay }
const control: ViewerRights = { control: true, clipboard: { in: true, out: true }, maxDisplay }
const clipboardRights = (allowed: { in: boolean; out: boolean }): ViewerRights => ({
  control: true,
  clipboard: allowed,
  maxDisplay,
})
const opening = setEncodings([encoding.extendedClipboard, 0])

/** What the target gets of `pieces`, after a handshake. */
function passed(rights: ViewerRights, ...pieces: Buffer[]): Buffer {
  const { filter } = started(rights)
  return Buffer.concat(pieces.map(piece => filter.toTarget(piece) ?? Buffer.alloc(0)))
}

function started(rights: ViewerRights) {
  const said: Buffer[] = []
  let acts = 0
  const filter = new ViewerFilter(
    rights,
    bytes => said.push(bytes),
    () => acts++,
  )
  filter.greet()
  const first = filter.toTarget(sample.handshakeBytes)!
  return { filter, said: Buffer.concat(said), first, acts: () => acts }
}

describe('handshake', () => {
  test.each([1, 2, 3, 5, 11, 12, 13, 14])('in pieces of %d bytes', size => {
    const said: Buffer[] = []
    const filter = new ViewerFilter(
      control,
      bytes => said.push(bytes),
      () => {},
    )
    filter.greet()
    const out = sample.inPieces(sample.handshakeBytes, [size]).map(piece => filter.toTarget(piece) ?? Buffer.alloc(0))
    expect(Buffer.concat(said).toString('latin1')).toBe('RFB 003.008\n\x01\x01\0\0\0\0')
    expect(Buffer.concat(out)).toEqual(Buffer.from([1]))
    expect(filter.ready).toBe(true)
  })

  test('asks for a shared screen whatever the viewer wishes, and silences the clipboard before the first message', () => {
    expect(started(view).first).toEqual(Buffer.concat([Buffer.from([1]), opening, silentCaps]))
  })

  test.each(['RFB 003.003\n', 'RFB 003.007\n', 'GET / HTTP/1.1', 'RFB 003.008\r'])('refuses %j', text => {
    const filter = new ViewerFilter(
      control,
      () => {},
      () => {},
    )
    expect(() => filter.toTarget(Buffer.from(text))).toThrow(WireError)
  })

  test('refuses the first wrong byte, not the twelfth', () => {
    const filter = new ViewerFilter(
      control,
      () => {},
      () => {},
    )
    expect(() => filter.toTarget(Buffer.from('X'))).toThrow(WireError)
  })

  test.each([0, 2, 16, 19, 255])('refuses security type %d', type => {
    const filter = new ViewerFilter(
      control,
      () => {},
      () => {},
    )
    filter.toTarget(Buffer.from('RFB 003.008\n'))
    expect(() => filter.toTarget(Buffer.from([type]))).toThrow(WireError)
  })
})

describe('view', () => {
  const { key, pointer, cutText, extendedCutText, setDesktopSize, qemuKey, xvp } = sample
  test.each([
    ['a key', key(true, 97)],
    ['a pointer', pointer(1, 10, 10)],
    ['clipboard text', cutText('secret')],
    ['extended clipboard', extendedCutText((1 << 28) | 1, Buffer.from('zz'))],
    ['a clipboard request', extendedCutText((1 << 25) | 1)],
    ['clipboard caps', extendedCutText(((0x1f << 24) | 1) >>> 0, Buffer.alloc(4, 1))],
    ['a resize', setDesktopSize(800, 600)],
    ['a QEMU key', qemuKey(97)],
    ['power', xvp()],
  ])('drops %s', (_, message) => {
    expect(passed(view, message, sample.updateRequest())).toEqual(sample.updateRequest())
  })

  test.each([
    ['SetPixelFormat', sample.setPixelFormat()],
    ['update request', sample.updateRequest(0)],
    ['continuous updates', sample.continuousUpdates()],
    ['fence 0', sample.fence(0)],
    ['fence 64', sample.fence(64)],
  ])('passes %s', (_, message) => {
    expect(passed(view, message)).toEqual(message)
  })

  test('rewrites the encodings: extended clipboard in, what negotiates input out, and nothing unsolicited', () => {
    const message = setEncodings([7, 0, encoding.qemuKey, encoding.extendedClipboard, encoding.xvp, encoding.extendedMouse, -224])
    expect(passed(view, message)).toEqual(Buffer.concat([setEncodings([7, 0, encoding.extendedClipboard, -224]), silentCaps]))
  })

  test('a viewer without the extended clipboard gets only encodings that can be told apart', () => {
    const message = setEncodings([7, 16, 5, 0, -26, -224])
    expect(passed(view, message)).toEqual(
      Buffer.concat([setEncodings([16, 0, -26, -224, encoding.extendedClipboard]), silentCaps]),
    )
  })

  test('counts no activity', () => {
    const { filter, acts } = started(view)
    filter.toTarget(Buffer.concat([key(true, 97), pointer(1, 2, 3), qemuKey(1)]))
    expect(acts()).toBe(0)
  })
})

describe('control', () => {
  test('passes keys, pointer and clipboard, and counts keys and pointer as activity', () => {
    const bytes = Buffer.concat([sample.key(true, 97), sample.pointer(0xff, 1, 2), sample.qemuKey(97), sample.cutText('hi')])
    const { filter, acts } = started(control)
    expect(filter.toTarget(bytes)).toEqual(bytes)
    expect(acts()).toBe(3)
  })

  test('a pointer message is 6 bytes even with the top bit set, because 7 was never negotiated', () => {
    const encodings = setEncodings([0, encoding.extendedMouse])
    const bytes = Buffer.concat([sample.pointer(0x80, 1, 2), sample.updateRequest()])
    expect(passed(control, encodings, bytes)).toEqual(Buffer.concat([setEncodings([0]), bytes]))
  })

  test('leaves the encodings alone otherwise', () => {
    const message = setEncodings([7, 0, encoding.qemuKey, encoding.extendedClipboard])
    expect(passed(control, message)).toEqual(message)
  })

  test.each([
    [1920, 1080, 1920, 1080],
    [16384, 16384, 3840, 2160],
    [1, 65535, 320, 2160],
    [0, 0, 320, 240],
  ])('clamps %dx%d to %dx%d, one screen, its id kept', (width, height, toWidth, toHeight) => {
    const sent = passed(control, sample.setDesktopSize(width, height, 2))
    expect(sent).toHaveLength(24)
    expect([sent.readUInt16BE(2), sent.readUInt16BE(4), sent.readUInt8(6)]).toEqual([toWidth, toHeight, 1])
    expect([sent.readUInt32BE(8), sent.readUInt16BE(16), sent.readUInt16BE(18)]).toEqual([0xabc0, toWidth, toHeight])
  })

  test('power never passes', () => {
    expect(passed(control, sample.xvp(), sample.key(true, 1))).toEqual(sample.key(true, 1))
  })
})

describe('clipboard', () => {
  const provide = sample.extendedCutText(((1 << 28) | 1) >>> 0, Buffer.from('text'))
  const notify = sample.extendedCutText(((1 << 27) | 1) >>> 0)
  const request = sample.extendedCutText(((1 << 25) | 1) >>> 0)
  const peek = sample.extendedCutText((1 << 26) >>> 0)
  const caps = sample.extendedCutText(((0x1f << 24) | 1) >>> 0, Buffer.alloc(4))
  const plain = sample.cutText('text')
  const all = [provide, notify, request, peek, caps, plain]

  test.each([
    ['none', { in: false, out: false }, []],
    ['in', { in: true, out: false }, [provide, notify, plain]],
    ['out', { in: false, out: true }, [request, peek, caps]],
    ['both', { in: true, out: true }, all],
  ])('%s', (_, allowed, expected) => {
    expect(passed(clipboardRights(allowed), ...all)).toEqual(Buffer.concat(expected))
  })

  test('a request dressed up as something else does not fetch', () => {
    const mixed = sample.extendedCutText(((1 << 25) | (1 << 28) | 1) >>> 0)
    expect(passed(clipboardRights({ in: true, out: false }), mixed)).toHaveLength(0)
    expect(passed(clipboardRights({ in: false, out: true }), mixed)).toHaveLength(0)
  })

  test.each([clipboardCap + 1, clipboardCap * 9])('text of %d bytes is left out whole; the next message is seen', length => {
    const big = sample.cutText(Buffer.alloc(length, 4))
    const stream = Buffer.concat([big, sample.key(true, 5)])
    expect(passed(control, stream)).toEqual(sample.key(true, 5))
    expect(passed(control, ...sample.inPieces(stream, [65_536, 7]))).toEqual(sample.key(true, 5))
  })

  test('text of exactly the cap passes', () => {
    const message = sample.cutText(Buffer.alloc(clipboardCap, 65))
    expect(passed(control, ...sample.inPieces(message, [1000]))).toEqual(message)
  })

  test('the least length there is does not overflow', () => {
    const header = Buffer.from([6, 0, 0, 0, 0x80, 0, 0, 0])
    const { filter } = started(control)
    expect(filter.toTarget(header)).toBeNull()
    expect(filter.toTarget(Buffer.alloc(100_000))).toBeNull()
  })
})

describe('what ends the stream', () => {
  test.each([1, 7, 127, 249, 252, 254])('type %d', type => {
    expect(() => passed(view, Buffer.from([type]))).toThrow(WireError)
  })
  test('a QEMU message that is not a key', () => expect(() => passed(control, Buffer.from([255, 1]))).toThrow(WireError))
  test('a fence of 65 bytes', () => expect(() => passed(control, sample.fence(65))).toThrow(WireError))
  test('60,000 encodings', () => expect(() => passed(view, Buffer.from([2, 0, 0xea, 0x60]))).toThrow(WireError))
})

/** The same rules written a second time, as plainly as possible, over whole messages: no splitting, no state. */
function naive({ control, clipboard, maxDisplay }: ViewerRights, messages: readonly Buffer[]): Buffer {
  const nothing = Buffer.alloc(0)
  const judge = (message: Buffer): Buffer => {
    const type = message[0]!
    if ([0, 3, 150, 248].includes(type)) return message
    if ([4, 5, 255].includes(type)) return control ? message : nothing
    if (type === 250) return nothing
    if (type === 251) {
      if (!control) return nothing
      const width = Math.min(Math.max(message.readUInt16BE(2), 320), maxDisplay.width)
      const height = Math.min(Math.max(message.readUInt16BE(4), 240), maxDisplay.height)
      const screen = message.length > 8 ? message.readUInt32BE(8) : 0
      const sent = sample.setDesktopSize(width, height)
      sent.writeUInt32BE(screen, 8)
      return sent
    }
    if (type === 6) {
      if (message.readInt32BE(4) >= 0) return clipboard.in ? message : nothing
      const [caps, request, peek, notify, provide] = [24, 25, 26, 27, 28].map(bit => (message.readUInt32BE(8) >>> bit) & 1)
      if (caps) return clipboard.out ? message : nothing
      const fetches = request || peek
      const gives = notify || provide
      if (fetches && gives) return nothing
      return (fetches ? clipboard.out : clipboard.in) ? message : nothing
    }
    const wished = Array.from({ length: message.readUInt16BE(2) }, (_, index) => message.readInt32BE(4 + 4 * index))
    const fine = wished.filter(word => word !== -309 && word !== -316 && (control || word !== -258))
    if (clipboard.out) return setEncodings(fine)
    const known = [0, 1, 2, 6, 16, -223, -224, -232, -239, -240, -258, -261, -307, -308, -312, -313]
    const plain = fine.filter(word => known.includes(word) || (word >= -32 && word <= -23) || (word >= -256 && word <= -247))
    const list = fine.includes(encoding.extendedClipboard) ? fine : [...plain, encoding.extendedClipboard]
    return Buffer.concat([setEncodings(list), silentCaps])
  }
  return Buffer.concat(messages.map(judge))
}

describe('splitting', () => {
  const messages = [
    sample.setPixelFormat(),
    setEncodings([7, 0, -309]),
    sample.updateRequest(),
    sample.key(true, 97),
    sample.pointer(1, 2, 3),
    sample.cutText('hello'),
    sample.extendedCutText(((1 << 28) | 1) >>> 0, Buffer.from('zlib')),
    sample.continuousUpdates(),
    sample.fence(9),
    sample.xvp(),
    sample.setDesktopSize(5000, 5000),
    sample.qemuKey(3),
  ]
  test('every message cut at every byte gives the same as uncut', () => {
    for (const rights of [view, control, clipboardRights({ in: true, out: false })]) {
      for (const message of messages) {
        const whole = Buffer.concat([message, sample.updateRequest()])
        const expected = naive(rights, [message, sample.updateRequest()])
        for (let cut = 1; cut < whole.length; cut++) {
          expect(passed(rights, whole.subarray(0, cut), whole.subarray(cut))).toEqual(expected)
        }
      }
    }
  })

  test('any stream in any pieces gives what its messages give one by one', () => {
    const anyRights = fc.constantFrom(
      view,
      control,
      clipboardRights({ in: true, out: false }),
      clipboardRights({ in: false, out: true }),
    )
    fc.assert(
      fc.property(
        fc.array(sample.anyMessage, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 70 }), { maxLength: 20 }),
        anyRights,
        (stream, cuts, rights) => {
          const bytes = Buffer.concat(stream)
          expect(passed(rights, ...sample.inPieces(bytes, cuts))).toEqual(naive(rights, stream))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('garbage never lets a key, pointer or clipboard of a viewer through, nor throws anything but a wire error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.integer({ min: 1, max: 50 })), (bytes, cuts) => {
        const { filter } = started(view)
        const out: Buffer[] = []
        try {
          for (const piece of sample.inPieces(Buffer.from(bytes), cuts)) out.push(filter.toTarget(piece) ?? Buffer.alloc(0))
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
        const types = wholeTypes(Buffer.concat(out))
        expect(types.every(type => [0, 2, 3, 6, 150, 248].includes(type))).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('a message that trickles in byte by byte costs no quadratic time', () => {
    const message = sample.cutText(Buffer.alloc(clipboardCap, 65))
    const { filter } = started(control)
    const begun = performance.now()
    let got = 0
    for (let at = 0; at < message.length; at++) got += filter.toTarget(message.subarray(at, at + 1))?.length ?? 0
    expect(got).toBe(message.length)
    expect(performance.now() - begun).toBeLessThan(3000)
  })
})

/** Types of the messages in what a viewer's filter let through; 6 only as our own caps. */
function wholeTypes(bytes: Buffer): number[] {
  const types: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at]!
    types.push(type)
    if (type === 0) at += 20
    else if (type === 2) at += 4 + 4 * bytes.readUInt16BE(at + 2)
    else if (type === 3 || type === 150) at += 10
    else if (type === 248) at += 9 + bytes[at + 8]!
    else if (type === 6 && bytes.subarray(at, at + 16).equals(silentCaps)) at += 16
    else return [...types, -1]
  }
  return types
}
