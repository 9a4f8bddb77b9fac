/**
 * WebSockets that nobody of good will opens: handshakes that are refused with their status and code, and frames that end a stream with their close
 * code, one row each. Whatever comes, the session on the other side hears of an orderly end, and the next viewer gets in.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { grants, sessions, tickets } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { Refusal, type ViewerOptions } from '../testing/platform-api.ts'
import { echoing, ServingAgent } from '../testing/serving-agent.ts'
import { mintSecret } from '../tokens/format.ts'
import { sha256 } from './platform.ts'

let api: NodeApi
let agent: ServingAgent
let session: string
let headless: string
let stopped: string
beforeAll(async () => {
  api = await nodeApi({ env: { ALLOWED_ORIGINS: 'https://porthole.test' } })
  agent = await ServingAgent.of(await api.agent())
  agent.serve(echoing)
  session = await api.session(agent.agent.cluster)
  headless = await api.session(agent.agent.cluster, { headless: true })
  stopped = await api.session(agent.agent.cluster)
  await api.db.update(sessions).set({ status: 'stopped', ended_at: new Date() }).where(eq(sessions.id, stopped))
})
afterAll(() => api?.close())

async function call(path: string, body: unknown) {
  const headers = { authorization: `Bearer ${api.admin}`, 'content-type': 'application/json' }
  const answer = await fetch(api.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  return (await answer.json()) as any
}
const ticket = async (stream = 'vnc') => (await call(`/v1/sessions/${session}/tickets`, { stream })).ticket as string
const scoped = async (...scopes: string[]) => (await call('/v1/tokens', { name: 'test', scopes })).token as string
const at = (id: string, stream = 'vnc') => `/v1/sessions/${id}/${stream}`

interface Attempt {
  path: string
  options?: ViewerOptions
}
const withTicket = (value: string, path = at(session)): Attempt => ({
  path,
  options: { token: '', protocols: ['binary', `ticket.${value}`] },
})
const from = (origin: string): Attempt => ({ path: at(session), options: { origin } })

describe('a handshake is refused', () => {
  it.each<[string, () => Attempt | Promise<Attempt>, number, string]>([
    ['without a token', () => ({ path: at(session), options: { token: '' } }), 401, 'unauthorized'],
    ['with half a token', () => ({ path: at(session), options: { token: api.admin.slice(0, -1) } }), 401, 'unauthorized'],
    [
      'with a token in the URL',
      () => ({ path: `${at(session)}?token=${api.admin}`, options: { token: '' } }),
      401,
      'unauthorized',
    ],
    ['with a token in the URL beside the right one', () => ({ path: `${at(session)}?x=${api.admin}` }), 401, 'unauthorized'],
    ['with a token as ticket', () => withTicket(api.admin), 401, 'unauthorized'],
    ['with a ticket as token', async () => ({ path: at(session), options: { token: await ticket() } }), 401, 'unauthorized'],
    ['with a ticket that never was', () => withTicket(mintSecret('tk')), 401, 'unauthorized'],
    ['with a ticket that is too long', () => withTicket('x'.repeat(2_000)), 401, 'unauthorized'],
    ['with an empty ticket', () => withTicket(''), 401, 'unauthorized'],
    ['with a ticket of another stream', async () => withTicket(await ticket('cdp')), 401, 'unauthorized'],
    ['with a ticket of another session', async () => withTicket(await ticket(), at(headless)), 401, 'unauthorized'],
    ['with a ticket that was used', usedTicket, 401, 'unauthorized'],
    ['with a ticket that is over', expiredTicket, 401, 'unauthorized'],
    [
      'without the scope',
      async () => ({ path: at(session), options: { token: await scoped('sessions:read') } }),
      403,
      'forbidden',
    ],
    [
      'of a terminal without its scope',
      async () => ({ path: '/v1/terminals/trm_x', options: { token: await scoped('sessions:connect') } }),
      403,
      'forbidden',
    ],
    ['from another site', () => from('https://evil.example'), 403, 'forbidden'],
    ['from a site that begins like ours', () => from('https://porthole.test.evil.example'), 403, 'forbidden'],
    ['from a site that ends like ours', () => from('https://evilporthole.test'), 403, 'forbidden'],
    ['from our name at another port', () => from('https://porthole.test:8443'), 403, 'forbidden'],
    ['from our name without TLS', () => from('http://porthole.test'), 403, 'forbidden'],
    ['from nowhere', () => from('null'), 403, 'forbidden'],
    ['of a session that is not', () => ({ path: at('ses_none') }), 404, 'not_found'],
    ['of a port nobody declared', () => ({ path: at(session, 'ports/22') }), 404, 'not_found'],
    ['of a port that is none', () => ({ path: at(session, 'ports/99999') }), 422, 'invalid'],
    ['of a stream that is not', () => ({ path: at(session, 'telnet') }), 404, 'not_found'],
    ['of a terminal that is not', () => ({ path: '/v1/terminals/trm_none' }), 404, 'not_found'],
    ['of a session without a screen', () => ({ path: at(headless) }), 409, 'conflict'],
    ['of a session that has stopped', () => ({ path: at(stopped) }), 409, 'session_not_running'],
    ['at the agents’ link, with a user’s token', () => ({ path: '/v1/agent/link' }), 401, 'unauthorized'],
    ['at a data socket, with a user’s token', () => ({ path: '/v1/agent/streams/str_x' }), 401, 'unauthorized'],
  ])('%s', async (_, attempt, status, code) => {
    const { path, options } = await attempt()
    const refusal = await api.viewer(path, options).open.catch((thrown: unknown) => thrown)
    expect(refusal).toBeInstanceOf(Refusal)
    const { status: got, body, headers } = refusal as Refusal
    expect([got, body.code]).toEqual([status, code])
    expect(headers['content-type']).toBe('application/problem+json')
    expect(JSON.stringify([body, headers])).not.toContain('vnc-tk-')
  })

  async function usedTicket(): Promise<Attempt> {
    const value = await ticket()
    const { ws, open, closed } = api.viewer(at(session), { token: '', protocols: ['binary', `ticket.${value}`] })
    await open
    ws.close()
    await closed
    return withTicket(value)
  }

  async function expiredTicket(): Promise<Attempt> {
    const value = await ticket()
    await api.db
      .update(tickets)
      .set({ expires_at: new Date(Date.now() - 1) })
      .where(eq(tickets.hash, sha256(value)))
    return withTicket(value)
  }

  it('but a ticket is echoed to nobody, and programs may name no origin or ours', async () => {
    const { ws, open, closed } = api.viewer(at(session), {
      token: '',
      origin: 'https://porthole.test',
      protocols: [`ticket.${await ticket()}`, 'binary'],
    })
    await open
    expect(ws.protocol).toBe('binary')
    ws.close()
    await closed
  })
})

/** A frame as it stands on the wire: masked with zeros unless told. */
function frame(
  first: number,
  payload: Buffer | string,
  { masked = true, claims }: { masked?: boolean; claims?: number } = {},
): Buffer {
  const body = Buffer.from(payload)
  const length = claims ?? body.length
  const mask = masked ? 0x80 : 0
  const head =
    length < 126
      ? [mask | length]
      : length < 65_536
        ? [mask | 126, length >> 8, length & 255]
        : [mask | 127, 0, 0, 0, 0, ...uint32(length)]
  return Buffer.concat([Buffer.from([first, ...head]), masked ? Buffer.alloc(4) : Buffer.alloc(0), body])
}
const uint32 = (value: number) => [24, 16, 8, 0].map(shift => (value >>> shift) & 255)
const [text, binary, ping] = [0x81, 0x82, 0x89]

describe('a stream ends', () => {
  it.each<[string, Buffer, number]>([
    ['a frame without a mask', frame(binary, 'x', { masked: false }), 1002],
    ['compression that nobody agreed on', frame(0xc2, 'x'), 1002],
    ['a reserved bit', frame(0xa2, 'x'), 1002],
    ['an opcode that is none', frame(0x83, 'x'), 1002],
    ['a continuation of nothing', frame(0x80, 'x'), 1002],
    ['a message begun within a message', Buffer.concat([frame(0x01, 'x'), frame(text, 'y')]), 1002],
    ['a ping in parts', frame(0x09, 'x'), 1002],
    ['a ping that is too long', frame(ping, Buffer.alloc(126)), 1002],
    ['text that is no UTF-8', frame(text, Buffer.from([0xff, 0xfe])), 1007],
    ['a close of one byte', frame(0x88, 'x'), 1002],
    ['a close with a code that nobody may send', frame(0x88, Buffer.from([0x03, 0xee])), 1002],
    ['a message of 65 MiB, at its head', frame(binary, '', { claims: 65 * 1024 * 1024 }), 1009],
    ['a length beyond all numbers', Buffer.from([binary, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009],
  ])('with %s', async (_, bytes, code) => {
    const { ws, open, closed } = api.viewer(at(session, 'cdp'), { headers: { 'x-request-id': newId('req') } })
    await open
    const { id } = (await api.db.select().from(grants).orderBy(grants.opened_at)).at(-1)!
    ;(ws as unknown as { _socket: Socket })._socket.write(bytes)
    expect((await closed).code).toBe(code)
    // The session’s leg, and the row behind both, end with it.
    await vi.waitFor(
      async () => {
        const [row] = await api.db.select().from(grants).where(eq(grants.id, id))
        expect(row!.closed_at).not.toBeNull()
      },
      { timeout: 30_000, interval: 50 },
    )
    await vi.waitFor(() => expect(agent.sockets.get(id)?.readyState ?? 3).toBe(3), { timeout: 30_000, interval: 50 })
  })

  it('and the next viewer gets in as if nothing had been', async () => {
    const { ws, open, closed } = api.viewer(at(session, 'cdp'))
    await open
    ws.send('still there?')
    const [data] = (await once(ws, 'message')) as [Buffer]
    expect(data.toString()).toBe('still there?')
    ws.close()
    await closed
  })
})
