import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { Refusal } from '../testing/platform-api.ts'
import { httpServer } from './server.ts'
import { Upgrades } from './upgrades.ts'

let api: NodeApi
beforeAll(async () => {
  api = await nodeApi()
})
afterAll(() => api?.close())

/** Says exactly these bytes and answers everything that comes back until the other side ends. */
async function say(text: string, then?: (socket: Socket) => void): Promise<{ status: number; head: string; body: string }> {
  const { hostname, port } = new URL(api.url)
  const socket = connect(Number(port), hostname)
  socket.write(text)
  then?.(socket)
  let answer = ''
  socket.on('data', chunk => {
    answer += chunk
  })
  socket.on('error', () => {})
  await once(socket, 'close')
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body }
}
const handshake =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
const problem = ({ body }: { body: string }) => JSON.parse(body) as { code: string; request_id: string; detail: string }
const refused = async (path: string, options: Parameters<NodeApi['viewer']>[1] = {}) => {
  const error = await api.viewer(path, options).open.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(Refusal)
  return error as Refusal
}

describe('an upgrade that will not be', () => {
  it.each([
    ['an unknown path', '/v1/nothing', {}, 404, 'not_found'],
    ['a path outside the API', '/somewhere', {}, 404, 'not_found'],
    ['another one’s session', '/v1/sessions/ses_none/vnc', {}, 404, 'not_found'],
    ['no token', '/v1/sessions/ses_none/vnc', { token: '' }, 401, 'unauthorized'],
    ['a bad token', '/v1/sessions/ses_none/vnc', { token: 'vnc-sk-proj-a-b-c' }, 401, 'unauthorized'],
    ['a page of another origin', '/v1/sessions/ses_none/vnc', { origin: 'https://evil.example' }, 403, 'forbidden'],
    ['a link without a signature', '/v1/agent/link', {}, 401, 'unauthorized'],
    ['a data socket with a bad key', '/v1/agent/streams/str_1', {}, 401, 'unauthorized'],
    ['a path that speaks no WebSocket', '/v1/me', {}, 200, undefined],
  ])('is answered in full: %s', async (_, path, options, status, code) => {
    const refusal = await refused(path, options)
    expect([refusal.status, refusal.body.code]).toEqual([status, code])
    if (status >= 400) {
      expect(refusal.headers['content-type']).toBe('application/problem+json')
      expect(refusal.headers['x-request-id']).toBe(refusal.body.request_id)
      expect(refusal.headers.date).toBeTruthy()
    }
  })

  it.each([
    ['a wrong version', handshake.replace('13', '8'), 426, 'upgrade_required'],
    ['no key', handshake.replace(/Sec-WebSocket-Key.*\r\n/, ''), 400, 'bad_request'],
    ['a short key', handshake.replace('AAAA', ''), 400, 'bad_request'],
    ['a malformed subprotocol', `${handshake}Sec-WebSocket-Protocol: a,,b\r\n`, 400, 'bad_request'],
    ['a repeated subprotocol', `${handshake}Sec-WebSocket-Protocol: a, a\r\n`, 400, 'bad_request'],
    ['two Authorization headers', `${handshake}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n`, 400, 'bad_request'],
  ])('is refused before it reaches anything: %s', async (_, headers, status, code) => {
    const answer = await say(`GET /v1/agent/link HTTP/1.1\r\nHost: porthole.test\r\n${headers}\r\n`)
    expect([answer.status, problem(answer).code]).toEqual([status, code])
    expect(answer.head.toLowerCase()).toContain('connection: close')
  })

  it.each(['user@porthole.test', 'porthole.test/x', '', 'a b'])('with Host %j gets 400', async host => {
    expect((await say(`GET /v1/agent/link HTTP/1.1\r\nHost: ${host}\r\n${handshake}\r\n`)).status).toBe(400)
  })

  it('to another protocol is taken as the plain request it also is', async () => {
    const answer = await say('GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')
    expect(answer.status).toBe(200)
  })

  it('does not hold its socket, even if the client goes on sending', async () => {
    const began = performance.now()
    const answer = await say(`GET /v1/nothing HTTP/1.1\r\nHost: a\r\n${handshake}\r\n`, socket => {
      const more = setInterval(() => socket.write(Buffer.alloc(1024)), 5)
      socket.once('close', () => clearInterval(more))
    })
    expect(answer.status).toBe(404)
    expect(performance.now() - began).toBeLessThan(3_000)
  })
})

describe('plain HTTP', () => {
  it('refuses repeated credentials', async () => {
    const answer = await say(
      'GET /v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n',
    )
    expect([answer.status, problem(answer).code]).toEqual([400, 'bad_request'])
  })

  it('answers a flood of headers with 431, and what is no HTTP with 400', async () => {
    const flood = await say(`GET / HTTP/1.1\r\nHost: a\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(20)}\r\n`)
    expect([flood.status, problem(flood).code]).toEqual([431, 'bad_request'])
    expect((await say('HELLO\r\n\r\n')).status).toBe(400)
  })

  it('lets a page of the dashboard run only our own code', async () => {
    const answer = await fetch(`${api.url}/sessions/ses_1`, { headers: { accept: 'text/html' } })
    const policy = answer.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(policy).not.toContain('unsafe')
  })

  it('answers unknown paths of the API as problems, whoever asks', async () => {
    const answer = await fetch(`${api.url}/v1/nothing`, { headers: { accept: 'text/html' } })
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, 'not_found'])
  })

  it.each([
    ['larger than any JSON may be', { template: 'x'.repeat(3_000_000) }, 'application/json', 413],
    ['of another type', { template: 'x'.repeat(3_000_000) }, 'text/plain', 415],
  ])('tells who sends a body %s, once it is sent, and keeps the connection', async (_, body, type, status) => {
    for (let n = 0; n < 20; n++) {
      const headers = { authorization: `Bearer ${api.admin}`, 'content-type': type }
      const answer = await fetch(`${api.url}/v1/sessions`, { method: 'POST', headers, body: JSON.stringify(body) })
      expect([answer.status, ((await answer.json()) as { status: number }).status]).toEqual([status, status])
    }
  })

  it('cuts a JSON body that dribbles, not an upload', async () => {
    const { server, close } = httpServer({
      fetch: async request =>
        new Response(String((await request.arrayBuffer()).byteLength), { headers: { 'content-type': 'text/plain' } }),
      upgrades: new Upgrades(),
      log: { info() {}, warn() {}, error() {} },
      bodyMs: 200,
    })
    await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
    const dribble = async (type: string) => {
      const outgoing = request({
        port: (server.address() as AddressInfo).port,
        method: 'POST',
        headers: { 'content-type': type, 'content-length': 10 },
      })
      const outcome = new Promise<number | string | undefined>(done => {
        outgoing.once('response', answer => done(answer.statusCode))
        outgoing.on('error', (error: NodeJS.ErrnoException) => done(error.code))
      })
      for (let i = 0; i < 10; i++) {
        outgoing.write('1')
        await new Promise(turn => setTimeout(turn, 50))
      }
      outgoing.end()
      return outcome
    }
    expect(await dribble('application/octet-stream')).toBe(200)
    expect(await dribble('application/json')).toMatch(/ECONNRESET|EPIPE/)
    await close(100)
  })
})
