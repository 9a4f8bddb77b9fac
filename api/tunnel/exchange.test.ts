import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CreditWindow, HttpFrame, httpWindow } from '#protocol/http-frames.ts'
import { type DataSocket, HttpExchange } from './exchange.ts'

/** The agent's end of a data socket, in the test's hands. */
class Far {
  frames: HttpFrame[] = []
  bytes = 0
  closed: { code: number; reason: string } | null = null
  onBytes: (data: Uint8Array) => void = () => {}
  onFrame: (frame: HttpFrame) => void = () => {}
  private take!: (data: string | Uint8Array) => void
  private gone!: (code: number, reason: string) => void
  readonly socket: DataSocket = {
    send: async data => {
      if (typeof data === 'string') {
        const frame = HttpFrame.parse(JSON.parse(data))
        this.frames.push(frame)
        this.onFrame(frame)
      } else {
        this.bytes += data.length
        this.onBytes(data)
      }
    },
    close: (code, reason) => {
      this.closed ??= { code, reason }
    },
    onMessage: take => {
      this.take = take
    },
    onClose: gone => {
      this.gone = gone
    },
  }
  frame(frame: unknown): void {
    this.take(JSON.stringify(frame))
  }
  send(data: Uint8Array | string): void {
    this.take(data)
  }
  drop(code = 1006, reason = ''): void {
    this.gone(code, reason)
  }
}

function exchange(body: ReadableStream<Uint8Array> | null = null) {
  const far = new Far()
  const abort = new AbortController()
  const ends: { code: number; bytesIn: number; bytesOut: number }[] = []
  const made = new HttpExchange(far.socket, body, abort.signal, end => void ends.push(end))
  return { far, abort, ends, response: made.response, exchange: made }
}
const turn = () => new Promise(done => setImmediate(done))
const head = { type: 'head', status: 200, headers: { 'content-type': 'image/png', connection: 'close' } }
function bodyOf(chunks: number, size: number): ReadableStream<Uint8Array> & { pulled: number } {
  let left = chunks
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(size))
        else controller.close()
        made.pulled++
      },
    },
    { highWaterMark: 0 },
  )
  const made = Object.assign(stream, { pulled: 0 })
  return made
}

describe('an exchange', () => {
  it('answers as the session answers, and closes when all was taken', async () => {
    const { far, response, ends } = exchange()
    await turn()
    expect(far.frames).toEqual([{ type: 'end' }])
    far.frame(head)
    far.send(new Uint8Array([1, 2]))
    far.send(new Uint8Array([3]))
    far.frame({ type: 'end' })
    far.drop(1000)
    const answer = await response
    expect([answer.status, [...answer.headers]]).toEqual([200, [['content-type', 'image/png']]])
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(new Uint8Array([1, 2, 3]))
    expect([far.closed, ends]).toEqual([
      { code: 1000, reason: 'done' },
      [{ code: 1000, reason: 'done', bytesIn: 0, bytesOut: 3 }],
    ])
  })

  it.each([
    ['the socket is lost', (far: Far) => far.drop()],
    ['the agent ends it early', (far: Far) => far.drop(4410, 'target_ended')],
    ['a frame is unreadable', (far: Far) => far.frame({ type: 'later' })],
    ['a frame is no JSON', (far: Far) => far.send('{')],
    ['a second head comes', (far: Far) => far.frame(head)],
  ])('never passes a cut body off as whole: %s', async (_, cut) => {
    const { far, response, ends } = exchange()
    far.frame(head)
    far.send(new Uint8Array(10))
    const answer = await response
    const body = answer.arrayBuffer()
    cut(far)
    await expect(body).rejects.toThrow()
    expect(ends).toHaveLength(1)
  })

  it.each([
    ['the socket is lost', (far: Far) => far.drop()],
    ['a body comes first', (far: Far) => far.send(new Uint8Array(1))],
    ['the end comes first', (far: Far) => far.frame({ type: 'end' })],
    ['the status is none', (far: Far) => far.frame({ ...head, status: 42 })],
    ['a header is none', (far: Far) => far.frame({ ...head, headers: { 'a b': 'c' } })],
  ])('becomes a problem when there is no answer: %s', async (_, fail) => {
    const { far, response } = exchange()
    fail(far)
    await expect(response).rejects.toMatchObject({ code: 'target_refused' })
  })

  it('gives credit only for what the reader took', async () => {
    const { far, response } = exchange()
    far.frame(head)
    const answer = await response
    for (let i = 0; i < 4; i++) far.send(new Uint8Array(64 * 1024))
    await turn()
    const granted = () => far.frames.filter(frame => frame.type === 'credit').map(frame => frame.total)
    expect(granted()).toEqual([64 * 1024])
    const reader = answer.body!.getReader()
    for (let i = 0; i < 4; i++) await reader.read()
    expect(granted().at(-1)).toBe(256 * 1024)
    for (let i = 0; i < 5; i++) far.send(new Uint8Array(64 * 1024))
    expect(far.closed).toBeNull()
    for (let i = 0; i < 2; i++) far.send(new Uint8Array(64 * 1024))
    expect(far.closed).toMatchObject({ code: 4400 })
    await expect(reader.closed).rejects.toThrow()
  })

  it('sends a body no further than it was granted, and then its end', async () => {
    const body = bodyOf(100, 100_000)
    const { far, response, ends } = exchange(body)
    while (far.bytes < httpWindow) await turn()
    for (let i = 0; i < 5; i++) await turn()
    expect([far.bytes, body.pulled]).toEqual([httpWindow, 3])
    far.onBytes = () => far.frame({ type: 'credit', total: far.bytes })
    far.frame({ type: 'credit', total: far.bytes })
    while (!far.frames.some(frame => frame.type === 'end')) await turn()
    expect(far.bytes).toBe(10_000_000)
    far.frame({ ...head, status: 204 })
    far.frame({ type: 'end' })
    expect([(await response).status, (await response).body]).toEqual([204, null])
    expect(ends).toMatchObject([{ bytesIn: 10_000_000, bytesOut: 0 }])
  })

  it('stops reading the body when the session answers early, or when the client leaves', async () => {
    let canceled = 0
    const endless = () =>
      new ReadableStream<Uint8Array>(
        { pull: c => c.enqueue(new Uint8Array(1000)), cancel: () => void canceled++ },
        { highWaterMark: 0 },
      )
    const early = exchange(endless())
    await turn()
    early.far.frame({ ...head, status: 413 })
    early.far.frame({ type: 'end' })
    expect((await early.response).status).toBe(413)
    const left = exchange(endless())
    await turn()
    left.abort.abort()
    await expect(left.response).rejects.toThrow()
    await turn()
    expect([canceled, left.far.closed]).toEqual([2, { code: 1001, reason: 'the client left' }])
    expect(left.far.frames).toEqual([])
  })

  it('tells the session nothing whole when the client’s body breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('reset'))
      },
    })
    const { far, response } = exchange(broken)
    await expect(response).rejects.toThrow()
    expect(far.frames).toEqual([])
    expect(far.closed?.code).toBe(1001)
  })

  it('ends when the reader of the answer leaves', async () => {
    const { far, response, ends } = exchange()
    far.frame(head)
    await (await response).body!.cancel()
    expect([far.closed?.code, ends.length]).toEqual([1001, 1])
  })
})

it('credit never lets a sender stick, nor overrun, whatever order credits come in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 40 }),
      fc.infiniteStream(fc.nat()),
      async (pieces, chance) => {
        const window = new CreditWindow()
        const total = pieces.reduce((sum, piece) => sum + piece, 0)
        let sent = 0
        let taken = 0
        const credits: number[] = []
        const sender = (async () => {
          for (let left = total; left > 0; ) {
            await window.waitForRoom()
            const piece = Math.min(left, window.room, 64 * 1024)
            window.spend(piece)
            left -= piece
            sent += piece
            expect(sent - taken).toBeLessThanOrEqual(httpWindow)
          }
        })()
        while (taken < total || credits.length > 0) {
          await Promise.resolve()
          const dice = chance.next().value!
          if (taken < sent && dice % 2 === 0) {
            taken += Math.min(sent - taken, 1 + (dice % 50_000))
            credits.push(taken)
          } else if (credits.length > 0) window.grant(credits.splice(dice % credits.length, 1)[0]!)
          else if (taken < sent) credits.push((taken = sent))
        }
        await sender
        expect(sent).toBe(total)
      },
    ),
    { numRuns: 200 },
  )
})
