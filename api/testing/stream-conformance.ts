/**
 * Every behaviour of viewers' streams that must not depend on the platform; `api/node` and `api/workers` run it against their own. What a
 * stream's end looks like may differ in one thing only: a socket cut without a word is 1006 or 1011.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { eq, isNull } from 'drizzle-orm'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { grants } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { mintSecret } from '../tokens/format.ts'
import { dialData } from './fake-agent.ts'
import { meetingMs, type PlatformApi, Refusal, type Viewer } from './platform-api.ts'
import { echoing, ServingAgent } from './serving-agent.ts'

const MB = 1024 * 1024
const cutOff = [1006, 1011]

/** Only the head of a message: who is still sending when the far end closes may see the socket cut instead of the reason. */
function sendHeaderOf(ws: WebSocket, length: number): void {
  const head = Buffer.alloc(14)
  // FIN and binary; masked, with a length of 64 bits and a key of zeros.
  head.writeUInt16BE(0x82ff)
  head.writeBigUInt64BE(BigInt(length), 2)
  ;(ws as unknown as { _socket: Socket })._socket.write(head)
}

export function streamConformance(running: () => PlatformApi): void {
  describe('streams', () => {
    let api: PlatformApi
    let agent: ServingAgent
    let session: string
    beforeAll(async () => {
      api = running()
      agent = await ServingAgent.of(await api.agent())
      session = await api.session(agent.agent.cluster)
    })

    const seen = new Set<Viewer>()
    afterEach(() => {
      // What a failed test left must not fail the next one.
      for (const { ws } of seen) ws.terminate()
      for (const ws of agent.sockets.values()) ws.terminate()
      seen.clear()
    })

    const message = async (ws: WebSocket) => (await once(ws, 'message')) as [Buffer, boolean]
    const watch = (stream = 'vnc', options = {}) => {
      const viewer = api.viewer(`/v1/sessions/${session}/${stream}`, options)
      seen.add(viewer)
      return viewer
    }
    const row = async (stream: string) => (await api.db.select().from(grants).where(eq(grants.id, stream)))[0]!
    const openRows = () => api.db.select({ id: grants.id }).from(grants).where(isNull(grants.closed_at))
    const eventually = (check: () => unknown, timeout = 15_000) => vi.waitFor(check, { timeout, interval: 25 })
    const idle = () => eventually(async () => expect(await openRows()).toHaveLength(0))
    const call = async (method: string, path: string, body?: unknown, token = api.admin) => {
      const answer = await fetch(api.url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
      return { status: answer.status, body: (text ? JSON.parse(text) : null) as any }
    }
    const refusal = async (open: Promise<unknown>) => {
      const error = await open.then(
        () => null,
        (thrown: unknown) => thrown,
      )
      expect(error).toBeInstanceOf(Refusal)
      return error as Refusal
    }

    it('pass bytes and message types untouched, and the close with its code and reason; the row tells the story', async () => {
      const asked: Open[] = []
      agent.serve((open, it) => {
        asked.push(open)
        return echoing(open, it)
      })
      const { ws, open, closed } = watch('vnc', { protocols: ['binary'] })
      await open
      expect(ws.protocol).toBe('binary')
      expect(asked[0]).toMatchObject({ kind: 'vnc', role: 'control', session, clipboard: 'both', deadline_ms: meetingMs })
      ws.send(Buffer.from([0, 255, 13, 10]))
      expect(await message(ws)).toEqual([Buffer.from([0, 255, 13, 10]), true])
      ws.send('{"text":"é\u0000"}')
      const [text, binary] = await message(ws)
      expect([text.toString(), binary]).toEqual(['{"text":"é\u0000"}', false])
      ws.send(Buffer.alloc(0))
      expect((await message(ws))[0]).toHaveLength(0)
      const { stream } = asked[0]!
      expect((await row(stream)).joined_at).not.toBeNull()
      const far = once(agent.sockets.get(stream)!, 'close')
      ws.close(4000, 'bye')
      const [code, reason] = await far
      expect([code, String(reason)]).toEqual([4000, 'bye'])
      expect((await closed).code).toBe(4000)
      await eventually(async () => expect(await row(stream)).toMatchObject({ close_code: 4000, closed_at: expect.any(Date) }))
    })

    it('carry messages of 30 MB both ways, and refuse what is larger than the platform’s limit with 1009', async () => {
      agent.serve(echoing)
      const { ws, open } = watch('cdp')
      await open
      const big = Buffer.alloc(30 * MB, 'x')
      ws.send(big.toString('latin1'))
      const [back, binary] = await message(ws)
      expect([back.equals(big), binary]).toEqual([true, false])
      ws.close()
      const tooBig = watch('cdp')
      await tooBig.open
      sendHeaderOf(tooBig.ws, api.maxMessage + 1)
      expect((await tooBig.closed).code).toBe(1009)
      await idle()
    })

    it('meet exactly one of 64 data sockets that race with one key; a wrong key spoils nothing', async () => {
      const racing = Promise.withResolvers<PromiseSettledResult<WebSocket>[]>()
      agent.serve(async open => {
        await expect(dialData({ ...open, key: mintSecret('st') })).rejects.toThrow('401')
        await expect(dialData({ ...open, key: api.admin })).rejects.toThrow('401')
        racing.resolve(Promise.allSettled(Array.from({ length: 64 }, () => echoing(open, agent) as Promise<WebSocket>)))
      })
      const { ws, open, closed } = watch()
      const racers = await racing.promise
      expect(racers.filter(racer => racer.status === 'fulfilled')).toHaveLength(1)
      await open
      ws.send('through')
      expect((await message(ws))[0].toString()).toBe('through')
      ws.close()
      await closed
      await idle()
    })

    it('are refused with what the agent says, before anything is upgraded', async () => {
      agent.serve(open => agent.refuse(open, 428, 'playwright_version', 'Use Playwright 1.65.'))
      const told = await refusal(watch('playwright').open)
      expect([told.status, told.body]).toEqual([
        428,
        expect.objectContaining({
          code: 'playwright_version',
          detail: 'Use Playwright 1.65.',
          request_id: expect.stringMatching(/^req_/),
        }),
      ])
      agent.serve(open => agent.refuse(open, 502, 'target_refused', 'The screen is gone.'))
      const dead = await refusal(watch().open)
      expect([dead.status, dead.body.code, dead.body.detail]).toEqual([502, 'target_refused', 'The screen is gone.'])
      await idle()
    })

    it('are answered 504 when the target is late, and the agent is told to stop', async () => {
      let late!: Open
      agent.serve(open => {
        late = open
      })
      const { status, body } = await refusal(watch().open)
      expect([status, body.code]).toEqual([504, 'target_timeout'])
      await eventually(() => expect(agent.told.map(told => told.stream)).toContain(late.stream))
      await eventually(async () => expect((await row(late.stream)).close_code).toBe(4504))
      await expect(dialData(late)).rejects.toThrow('401')
    })

    it('go when their viewer leaves while it waits', async () => {
      const asked = new Promise<Open>(resolve => agent.serve(asked => resolve(asked)))
      const { ws } = watch()
      const { stream } = await asked
      ws.terminate()
      await eventually(() => expect(agent.told.map(told => told.stream)).toContain(stream))
      await idle()
    })

    it('are refused at once, with 503, when the cluster has no link', async () => {
      const other = await api.agent()
      const lost = await api.session(other.cluster)
      const began = performance.now()
      const { status, body } = await refusal(api.viewer(`/v1/sessions/${lost}/vnc`).open)
      expect([status, body.code]).toEqual([503, 'cluster_offline'])
      expect(performance.now() - began).toBeLessThan(1_200)
    })

    it('end for the viewer as the session ends them, after the last byte', async () => {
      agent.serve(async open => {
        const data = await agent.meet(open)
        data.send(Buffer.alloc(5 * MB))
        data.close(4410, 'target_ended')
      })
      const { ws, open, closed } = watch()
      let bytes = 0
      ws.on('message', chunk => {
        bytes += (chunk as Buffer).length
      })
      await open
      expect(await closed).toEqual({ code: 4410, reason: 'target_ended' })
      expect(bytes).toBe(5 * MB)
      await idle()
    })

    it('end within moments on one side when the other is cut off', async () => {
      agent.serve(open => agent.meet(open))
      const one = watch()
      await one.open
      ;[...agent.sockets.values()][0]!.terminate()
      expect(cutOff).toContain((await one.closed).code)
      await idle()
      const two = watch()
      await two.open
      const gone = once([...agent.sockets.values()][0]!, 'close') as Promise<[number]>
      two.ws.terminate()
      expect(cutOff).toContain((await gone)[0])
      await idle()
    })

    it('outlive their agent’s link, and are renewed over the next one', async () => {
      agent.serve(echoing)
      const { ws, open, closed } = watch()
      await open
      agent.link.ws.terminate()
      ws.send('still')
      expect((await message(ws))[0].toString()).toBe('still')
      await agent.dial()
      expect((await agent.link.next('renew')).streams).toHaveLength(1)
      ws.send('here')
      expect((await message(ws))[0].toString()).toBe('here')
      ws.close()
      await closed
      await idle()
    })

    it('go over the newest link when the old one is half open: nobody answers on it, nobody closed it', async () => {
      agent.serve(echoing)
      const before = agent.link
      before.serve(() => {})
      before.answersPings = false
      before.ws.pause()
      await agent.dial()
      const { ws, open, closed } = watch()
      await open
      ws.send('new')
      expect((await message(ws))[0].toString()).toBe('new')
      before.ws.resume()
      expect((await before.closed).code).toBe(4409)
      ws.close()
      await closed
      await idle()
    })

    it('let a reader that does not read stop its own source, and nobody else', async () => {
      const total = 96 * MB
      const part = Buffer.alloc(64 * 1024)
      let sent = 0
      agent.serve(async open => {
        const ws = await agent.meet(open)
        while (sent < total && ws.readyState === 1) {
          await new Promise(taken => ws.send(part, taken))
          sent += part.length
        }
      })
      const slow = watch()
      slow.ws.on('open', () => slow.ws.pause())
      let got = 0
      slow.ws.on('message', chunk => {
        got += (chunk as Buffer).length
      })
      await slow.open
      let last = -1
      await eventually(async () => {
        const before = last
        last = sent
        await new Promise(turn => setTimeout(turn, 200))
        expect([sent > 0, sent === last, before === last]).toEqual([true, true, true])
      })
      expect(sent).toBeLessThan(total / 2)
      agent.serve(echoing)
      const { ws, open } = watch()
      await open
      ws.send('quick')
      expect((await message(ws))[0].toString()).toBe('quick')
      ws.close()
      slow.ws.resume()
      await eventually(() => expect(got).toBe(total), 30_000)
      slow.ws.close()
      await idle()
    })

    it('run a hundred at once, each with its own bytes', { timeout: 90_000 }, async () => {
      agent.serve(echoing)
      const viewers: Viewer[] = []
      for (let wave = 0; wave < 5; wave++) {
        const more = Array.from({ length: 20 }, () => watch())
        viewers.push(...more)
        await Promise.all(more.map(viewer => viewer.open))
      }
      expect(agent.sockets.size).toBe(100)
      const answers = viewers.map(async ({ ws }, i) => {
        ws.send(`viewer ${i}`)
        return (await message(ws))[0].toString()
      })
      expect(await Promise.all(answers)).toEqual(viewers.map((_, i) => `viewer ${i}`))
      for (const { ws } of viewers) ws.close()
      await Promise.all(viewers.map(viewer => viewer.closed))
      await idle()
    })

    it('open with a ticket once, of 32 at the same time too, and only what it is for', async () => {
      agent.serve(echoing)
      const ticket = async () => (await call('POST', `/v1/sessions/${session}/tickets`, { stream: 'vnc' })).body.ticket as string
      const first = await ticket()
      const with_ = (value: string, stream = 'vnc') =>
        watch(stream, { token: undefined, protocols: ['binary', `ticket.${value}`] })
      expect((await refusal(with_(first, 'cdp').open)).status).toBe(401)
      const racers = Array.from({ length: 32 }, () => with_(first))
      const outcomes = await Promise.allSettled(racers.map(racer => racer.open))
      expect(outcomes.filter(outcome => outcome.status === 'fulfilled')).toHaveLength(1)
      const won = racers[outcomes.findIndex(outcome => outcome.status === 'fulfilled')]!
      expect(won.ws.protocol).toBe('binary')
      won.ws.close()
      await won.closed
      expect((await refusal(watch('vnc', { token: undefined }).open)).status).toBe(401)
      expect((await refusal(watch('vnc', { origin: 'https://evil.example' }).open)).status).toBe(403)
      await idle()
    })

    it('end with 4401 when their token is revoked and 4410 when their session is deleted; others go on', async () => {
      agent.serve(echoing)
      const made = await call('POST', '/v1/tokens', { name: 'visitor', scopes: ['sessions:connect', 'sessions:read'] })
      expect(made.status).toBe(201)
      const [mine, other] = [watch('vnc', { token: made.body.token }), watch()]
      await Promise.all([mine.open, other.open])
      const doomed = await api.session(agent.agent.cluster)
      const third = api.viewer(`/v1/sessions/${doomed}/vnc`)
      await third.open
      expect((await call('DELETE', `/v1/tokens/${made.body.id}`)).status).toBe(204)
      expect((await mine.closed).code).toBe(4401)
      expect((await refusal(watch('vnc', { token: made.body.token }).open).catch(() => null))?.status ?? 401).toBe(401)
      expect((await call('DELETE', `/v1/sessions/${doomed}`)).status).toBe(204)
      expect((await third.closed).code).toBe(4410)
      other.ws.send('on')
      expect((await message(other.ws))[0].toString()).toBe('on')
      other.ws.close()
      await other.closed
      await idle()
    })

    it('end within 15 s of a revocation that nobody told of', { timeout: 90_000 }, async () => {
      agent.serve(echoing)
      const made = await call('POST', '/v1/tokens', { name: 'silent', scopes: ['sessions:connect', 'sessions:read'] })
      const { ws, open, closed } = watch('vnc', { token: made.body.token })
      await open
      ws.send('in')
      await message(ws)
      const began = performance.now()
      await api.db.execute(`update tokens set revoked_at = clock_timestamp() where id = '${made.body.id}'`)
      expect((await closed).code).toBe(4403)
      expect(performance.now() - began).toBeLessThan(15_000)
      await idle()
    })
  })
}
