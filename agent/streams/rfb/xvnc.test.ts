/** The filter against a real Xvnc, end to end through a whole agent; what reached the X server is asked of the X server. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Open } from '#protocol/link-messages.ts'
import { startAgent, type TestAgent } from '../../testing/agent-under-test.ts'
import { ApiDouble } from '../../testing/api-double.ts'
import * as sample from '../../testing/rfb-samples.ts'
import { RfbViewer } from '../../testing/rfb-viewer.ts'
import { ScriptedRuntime } from '../../testing/scripted-runtime.ts'
import { aDesired } from '../../testing/session-fixtures.ts'
import { XClient } from '../../testing/x-client.ts'
import { Xvnc } from '../../testing/xvnc.ts'
import { encoding } from './viewer-filter.ts'

const raw = 0
const resize = -308
const extended = encoding.extendedClipboard
let xvnc: Xvnc
let x: XClient
let api: ApiDouble
let agent: TestAgent

beforeAll(async () => {
  xvnc = await Xvnc.start()
  x = await XClient.connect(xvnc.display)
  api = await ApiDouble.start()
  const runtime = new ScriptedRuntime()
  runtime.onDial = async () => ({ kind: 'bytes', socket: await xvnc.connect() })
  agent = startAgent({ origin: api.origin, runtime })
  await api.until(() => api.link)
  api.want(aDesired('ses_a'))
  await api.phase('ses_a', 'running')
})
afterAll(async () => {
  await agent?.stop()
  await api?.kill()
  x?.close()
  await xvnc?.stop()
})

async function viewer(open: Partial<Open>, encodings: number[]): Promise<RfbViewer> {
  return (await namedViewer(open, encodings)).rfb
}

async function namedViewer(open: Partial<Open>, encodings: number[]): Promise<{ rfb: RfbViewer; stream: string }> {
  const { socket, stream } = await api.opened({ kind: 'vnc', target: {}, ...open })
  const rfb = new RfbViewer(socket, encodings)
  await rfb.until(() => rfb.ready)
  await rfb.frame()
  return { rfb, stream }
}

/** The API says what the viewer may do from now on; resolves once the agent has taken it in. */
async function setRole(stream: string, role: 'view' | 'control'): Promise<void> {
  api.send({ type: 'renew', streams: [{ stream, remaining_ms: 60_000, role }] })
  await api.pinged()
}

/** A resize is told with the next update only. */
async function framesUntil(rfb: RfbViewer, width: number): Promise<void> {
  while (rfb.width !== width) await rfb.frame()
}

describe('control', () => {
  test('pointer, keys and size reach the X server; a size beyond the limit is cut', async () => {
    const rfb = await viewer({ role: 'control' }, [raw, resize, extended])
    rfb.send(sample.pointer(1, 100, 50), sample.key(true, 97))
    await rfb.frame()
    expect(await x.pointer()).toMatchObject({ x: 100, y: 50, mask: 0x100 })
    expect(await x.keysDown()).toHaveLength(1)
    rfb.send(sample.pointer(0, 100, 50), sample.key(false, 97), sample.setDesktopSize(9999, 300))
    await framesUntil(rfb, 3840)
    expect(await x.size()).toEqual({ width: 3840, height: 300 })
    rfb.send(sample.setDesktopSize(640, 480))
    await framesUntil(rfb, 640)
  })

  test('power messages, on which Xvnc would hang up, do no harm', async () => {
    const rfb = await viewer({ role: 'control' }, [raw, extended])
    rfb.send(sample.xvp())
    await rfb.frame()
    expect(rfb.closed).toBeNull()
  })
})

describe('view', () => {
  const acts = [
    sample.pointer(1, 300, 300),
    sample.key(true, 98),
    sample.qemuKey(98),
    sample.setDesktopSize(800, 600),
    sample.cutText('in'),
    sample.xvp(),
  ]

  test.each([
    ['extended clipboard', [raw, resize, extended, -258, -316]],
    ['raw only', [raw]],
  ])('moves nothing (%s)', async (_, encodings) => {
    const hands = await viewer({ role: 'control' }, [raw])
    hands.send(sample.pointer(0, 20, 30))
    await hands.frame()
    const eyes = await viewer({ role: 'view' }, encodings)
    eyes.send(...acts)
    await eyes.frame()
    await hands.frame()
    expect(await x.pointer()).toMatchObject({ x: 20, y: 30, mask: 0 })
    expect(await x.keysDown()).toEqual([])
    expect(await x.size()).toEqual({ width: 640, height: 480 })
  })

  test('moves nothing, wherever its bytes are split; with control the same bytes do', { timeout: 60_000 }, async () => {
    const hands = await viewer({ role: 'control' }, [raw])
    hands.send(sample.pointer(0, 20, 30))
    await hands.frame()
    const eyes = await viewer({ role: 'view' }, [raw, resize, extended])
    const all = Buffer.concat([
      ...acts,
      sample.extendedCutText(((1 << 28) | 1) >>> 0, Buffer.from('text')),
      sample.key(false, 98),
    ])
    for (let at = 1; at < all.length; at++) eyes.send(all.subarray(0, at), all.subarray(at))
    eyes.send(...Array.from(all, byte => Buffer.from([byte])))
    await eyes.frame()
    await hands.frame()
    expect(await x.pointer()).toMatchObject({ x: 20, y: 30, mask: 0 })
    expect(await x.keysDown()).toEqual([])
    expect(await x.size()).toEqual({ width: 640, height: 480 })
    const same = Buffer.concat([sample.pointer(0, 300, 301), sample.key(true, 98)])
    hands.send(...Array.from(same, byte => Buffer.from([byte])))
    await hands.frame()
    expect(await x.pointer()).toMatchObject({ x: 300, y: 301 })
    expect(await x.keysDown()).toHaveLength(1)
    hands.send(sample.key(false, 98))
    await hands.frame()
  })

  test('learns that there is a clipboard, but not what is in it, even if it asks', async () => {
    const hands = await viewer({ role: 'control' }, [raw, extended])
    const eyes = await viewer({ role: 'view' }, [raw, extended])
    // As a real client does: it says what it can, with room for a megabyte.
    const caps = sample.extendedCutText(((0x1f << 24) | 1) >>> 0, Buffer.from([0, 16, 0, 0]))
    eyes.send(caps)
    hands.send(caps)
    await x.ownClipboard('session secret')
    await eyes.until(() => eyes.cutTexts.some(cut => (cut.flags! & (1 << 27)) !== 0))
    eyes.send(sample.extendedCutText(((1 << 25) | 1) >>> 0))
    await eyes.frame()
    await hands.until(() => hands.cutTexts.some(cut => (cut.flags! & (1 << 28)) !== 0))
    expect(
      eyes.cutTexts.filter(cut => cut.text !== undefined || ((cut.flags! & (1 << 28)) !== 0 && (cut.flags! & (1 << 24)) === 0)),
    ).toEqual([])
  })

  test('a viewer that knows only plain clipboard text gets none, and its stream stays whole', async () => {
    const plainHands = await viewer({ role: 'control' }, [raw])
    const eyes = await viewer({ role: 'view' }, [raw])
    await x.ownClipboard(`plain secret ${Math.random()}`)
    await plainHands.until(() => plainHands.cutTexts.some(cut => cut.text?.startsWith('plain secret')))
    await eyes.frame()
    expect(eyes.cutTexts).toEqual([])
  })
})

describe('control that changes hands while the stream lives', () => {
  test('taken: what is held down is let go of, and nothing more gets through; given: at once', async () => {
    const { rfb, stream } = await namedViewer({ role: 'control' }, [raw, resize, extended])
    rfb.send(sample.pointer(1, 111, 77), sample.key(true, 97), sample.key(true, 0xffe1))
    await rfb.frame()
    expect(await x.keysDown()).toHaveLength(2)
    await setRole(stream, 'view')
    await rfb.frame()
    expect(await x.keysDown()).toEqual([])
    expect(await x.pointer()).toMatchObject({ x: 111, y: 77, mask: 0 })
    rfb.send(sample.pointer(1, 300, 300), sample.key(true, 98), sample.qemuKey(98), sample.setDesktopSize(800, 600))
    await rfb.frame()
    expect(await x.pointer()).toMatchObject({ x: 111, y: 77, mask: 0 })
    expect(await x.keysDown()).toEqual([])
    expect(await x.size()).toEqual({ width: 640, height: 480 })
    await setRole(stream, 'control')
    rfb.send(sample.pointer(0, 12, 13))
    await rfb.frame()
    expect(await x.pointer()).toMatchObject({ x: 12, y: 13 })
    expect(rfb.closed).toBeNull()
  })

  test('the clipboard goes with it, both ways', async () => {
    const provided = (rfb: RfbViewer) =>
      rfb.cutTexts.filter(cut => (cut.flags! & (1 << 28)) !== 0 && (cut.flags! & (1 << 24)) === 0)
    const caps = sample.extendedCutText(((0x1f << 24) | 1) >>> 0, Buffer.from([0, 16, 0, 0]))
    const { rfb, stream } = await namedViewer({ role: 'view' }, [raw, extended])
    rfb.send(caps)
    await x.ownClipboard('while watching')
    await rfb.until(() => rfb.cutTexts.some(cut => (cut.flags! & (1 << 27)) !== 0))
    expect(provided(rfb)).toEqual([])
    await setRole(stream, 'control')
    await rfb.frame()
    await x.ownClipboard('while in control')
    await rfb.until(() => provided(rfb).length > 0)
    await setRole(stream, 'view')
    await rfb.frame()
    const before = provided(rfb).length
    const notices = rfb.cutTexts.length
    await x.ownClipboard('after it was taken')
    await rfb.until(() => rfb.cutTexts.length > notices)
    rfb.send(sample.extendedCutText(((1 << 25) | 1) >>> 0))
    await rfb.frame()
    expect(provided(rfb)).toHaveLength(before)
  })

  test('a viewer that cannot be silenced comes again instead', async () => {
    const { rfb, stream } = await namedViewer({ role: 'control' }, [raw])
    api.send({ type: 'renew', streams: [{ stream, remaining_ms: 60_000, role: 'view' }] })
    await expect(rfb.until(() => false)).rejects.toThrow('4409')
  })
})

describe('both', () => {
  beforeEach(() => expect(api.link).not.toBeNull())
  test.each(['view', 'control'] as const)('%s: an unknown message ends the stream with 4400', async role => {
    const rfb = await viewer({ role }, [raw, extended])
    rfb.send(Buffer.from([77]))
    await expect(rfb.until(() => false)).rejects.toThrow('4400')
  })

  test('three viewers at once', async () => {
    const all = await Promise.all([
      viewer({ role: 'view' }, [raw]),
      viewer({ role: 'control' }, [raw]),
      viewer({ role: 'view' }, [raw, extended]),
    ])
    for (const rfb of all) await rfb.frame()
  })
})
