import { once } from 'node:events'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { grants } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { dialData, echo, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi, Refusal } from '../testing/node-api.ts'
import { mintSecret } from '../tokens/format.ts'

let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let session: string
beforeAll(async () => {
  api = await nodeApi({ meetingMs: 1_500 })
  agent = await api.agent()
  link = await agent.link()
  session = await api.session(agent.cluster)
})
afterAll(() => api?.close())

const message = async (ws: WebSocket) => (await once(ws, 'message')) as [Buffer, boolean]
const refusal = async (open: Promise<unknown>) => {
  const error = await open.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Refusal)
  return error as Refusal
}
const idle = () => vi.waitFor(() => expect(api.tunnel.streams.size).toBe(0), { timeout: 10_000, interval: 20 })
const row = async (stream: string) => (await api.db.select().from(grants).where(eq(grants.id, stream)))[0]!

describe('a viewer', () => {
  it('meets its session: bytes and message types pass untouched, the row tells the story', async () => {
    let open!: Open
    link.serve(asked => {
      open = asked
      void echo(asked)
    })
    const { ws, open: opened, closed } = api.viewer(`/v1/sessions/${session}/vnc`, { protocols: ['binary'] })
    await opened
    expect(ws.protocol).toBe('binary')
    expect(open).toMatchObject({ kind: 'vnc', role: 'control', session, clipboard: 'both', deadline_ms: 1_500 })
    ws.send(Buffer.from([0, 255, 13, 10]))
    expect(await message(ws)).toEqual([Buffer.from([0, 255, 13, 10]), true])
    ws.send('{"text":"é\u0000"}')
    const [text, binary] = await message(ws)
    expect([text.toString(), binary]).toEqual(['{"text":"é\u0000"}', false])
    ws.send(Buffer.alloc(0))
    expect((await message(ws))[0]).toHaveLength(0)
    expect((await row(open.stream)).joined_at).not.toBeNull()
    ws.close(1000, 'bye')
    expect(await closed).toEqual({ code: 1000, reason: 'bye' })
    await idle()
    await vi.waitFor(async () => expect(await row(open.stream)).toMatchObject({ close_code: 1000, closed_at: expect.any(Date) }))
  })

  it('carries messages of 30 MB both ways', async () => {
    link.serve(asked => void echo(asked))
    const { ws, open } = api.viewer(`/v1/sessions/${session}/cdp`)
    await open
    const big = Buffer.alloc(30 * 1024 * 1024, 'x')
    ws.send(big.toString('latin1'))
    const [back, binary] = await message(ws)
    expect([back.equals(big), binary]).toEqual([true, false])
    ws.close()
    await idle()
  })

  it('meets exactly one of 64 data sockets that race with its key; a wrong key spoils nothing', async () => {
    const racing = Promise.withResolvers<PromiseSettledResult<WebSocket>[]>()
    link.serve(async open => {
      const wrong = mintSecret('st')
      await expect(dialData({ ...open, key: wrong })).rejects.toThrow('401')
      await expect(dialData({ ...open, key: api.admin })).rejects.toThrow('401')
      racing.resolve(Promise.allSettled(Array.from({ length: 64 }, () => echo(open))))
    })
    const { ws, open } = api.viewer(`/v1/sessions/${session}/vnc`)
    const racers = await racing.promise
    expect(racers.filter(racer => racer.status === 'fulfilled')).toHaveLength(1)
    await open
    ws.send('through')
    expect((await message(ws))[0].toString()).toBe('through')
    ws.close()
    await idle()
  })

  it('is told what the agent says, with its status, before anything is upgraded', async () => {
    link.serve(({ stream }) =>
      link.send({ type: 'refused', stream, status: 428, code: 'playwright_version', detail: 'Use Playwright 1.65.' }),
    )
    const { status, body } = await refusal(api.viewer(`/v1/sessions/${session}/playwright`).open)
    expect(status).toBe(428)
    expect(body).toMatchObject({
      code: 'playwright_version',
      detail: 'Use Playwright 1.65.',
      request_id: expect.stringMatching(/^req_/),
    })
    await idle()
  })

  it('is answered 504 when the target is late, and the agent is told to stop', async () => {
    let late!: Open
    link.serve(open => {
      late = open
    })
    const { status, body } = await refusal(api.viewer(`/v1/sessions/${session}/vnc`).open)
    expect([status, body.code]).toEqual([504, 'target_timeout'])
    expect(await link.next('close')).toMatchObject({ stream: late.stream })
    await vi.waitFor(async () => expect((await row(late.stream)).close_code).toBe(4504))
    await expect(dialData(late)).rejects.toThrow('401')
  })

  it('that leaves while it waits takes the stream with it', async () => {
    const asked = new Promise<Open>(resolve => link.serve(resolve))
    const { ws } = api.viewer(`/v1/sessions/${session}/vnc`)
    const { stream } = await asked
    ws.terminate()
    expect(await link.next('close')).toMatchObject({ stream })
    await vi.waitFor(async () => expect((await row(stream)).close_code).toBe(1001))
    await idle()
  })

  it('gets 503 at once when the cluster has no link', async () => {
    const other = await api.agent()
    const lost = await api.session(other.cluster)
    const began = performance.now()
    const { status, body } = await refusal(api.viewer(`/v1/sessions/${lost}/vnc`).open)
    expect([status, body.code]).toEqual([503, 'cluster_offline'])
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  it('sees the code and reason that the session ends with, after the last byte', async () => {
    let data!: WebSocket
    link.serve(async open => {
      data = await dialData(open)
      data.send(Buffer.alloc(5 * 1024 * 1024))
      data.close(4410, 'target_ended')
    })
    const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`)
    let bytes = 0
    ws.on('message', chunk => {
      bytes += (chunk as Buffer).length
    })
    await open
    expect(await closed).toEqual({ code: 4410, reason: 'target_ended' })
    expect(bytes).toBe(5 * 1024 * 1024)
    await idle()
  })

  it('is let go within moments when the agent dies, and the other way round', async () => {
    const sockets: WebSocket[] = []
    link.serve(async open => sockets.push(await dialData(open)))
    const one = api.viewer(`/v1/sessions/${session}/vnc`)
    await one.open
    sockets[0]!.terminate()
    expect((await one.closed).code).toBe(1011)
    const two = api.viewer(`/v1/sessions/${session}/vnc`)
    await two.open
    const gone = once(sockets[1]!, 'close') as Promise<[number]>
    two.ws.terminate()
    expect((await gone)[0]).toBe(1011)
    await idle()
  })

  it('keeps its stream when the link is cut and made anew', async () => {
    link.serve(open => void echo(open))
    const { ws, open } = api.viewer(`/v1/sessions/${session}/vnc`)
    await open
    link.ws.terminate()
    ws.send('still')
    expect((await message(ws))[0].toString()).toBe('still')
    link = await agent.link()
    expect((await link.next('renew')).streams).toHaveLength(1)
    ws.send('here')
    expect((await message(ws))[0].toString()).toBe('here')
    ws.close()
    await idle()
  })

  it('leaves nothing behind after a thousand visits, whatever way they end', { timeout: 300_000 }, async () => {
    let turn = 0
    link.serve(open => {
      const way = turn++ % 4
      if (way === 0) link.send({ type: 'refused', stream: open.stream, status: 502, code: 'target_refused', detail: 'no' })
      else if (way === 1)
        dialData(open).then(
          ws => ws.terminate(),
          () => {},
        )
      else dialData(open).catch(() => {})
    })
    const visit = async () => {
      const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`)
      if (Math.random() < 0.2) setTimeout(() => ws.terminate(), Math.random() * 20)
      await open.then(
        () => ws.close(),
        () => {},
      )
      await closed
    }
    for (let i = 0; i < 1_000; i += 10) await Promise.all(Array.from({ length: 10 }, visit))
    await idle()
    await vi.waitFor(async () => {
      const open = (await api.db.select().from(grants)).filter(grant => grant.closed_at === null)
      expect(open).toEqual([])
    })
  })
})
