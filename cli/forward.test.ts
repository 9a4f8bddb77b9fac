/** Against a small API of this file: what is asked, what goes over, what is said when it does not. The end-to-end run uses the real one. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { CommandError } from './command.ts'
import { forward } from './forward.ts'

const token = 'vnc-sk-proj-test'
let api: Server
let url: string
let sockets: WebSocketServer
let asked: string[]
let life: AbortController

beforeEach(async () => {
  asked = []
  life = new AbortController()
  sockets = new WebSocketServer({ noServer: true })
  api = createServer((request, response) => {
    const found = request.url!.includes('name=twins') ? [{ id: 'ses_1' }, { id: 'ses_2' }] : [{ id: 'ses_1' }]
    response.setHeader('content-type', 'application/json')
    if (request.headers.authorization !== `Bearer ${token}`) {
      response.statusCode = 401
      response.end('{"title":"Unauthorized","detail":"A token is needed."}')
    } else response.end(JSON.stringify({ data: request.url!.includes('name=nobody') ? [] : found }))
  })
  api.on('upgrade', (request, socket, head) => {
    asked.push(`${request.url} ${request.headers.authorization}`)
    if (request.url!.endsWith('/ports/81')) {
      const body = '{"detail":"The template declares no port 81."}'
      socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
      return
    }
    sockets.handleUpgrade(request, socket, head, ws => {
      if (request.url!.endsWith('/ports/82')) return ws.close(4410, 'target_ended')
      const echo = createWebSocketStream(ws)
      echo.on('error', () => {})
      echo.pipe(echo)
    })
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
})

afterEach(async () => {
  life.abort()
  for (const ws of sockets.clients) ws.terminate()
  api.close()
})

function start(remote: 'vnc' | number, session = 'desk', given = token) {
  const lines: string[] = []
  const heard: ((line: string) => void)[] = []
  const line = (pattern: RegExp) =>
    new Promise<string>(resolve => {
      const look = (text: string) => pattern.test(text) && resolve(text)
      for (const text of lines) look(text)
      heard.push(look)
    })
  const done = forward({
    url,
    token: given,
    session,
    address: '127.0.0.1',
    ports: [{ local: 0, remote }],
    signal: life.signal,
    say: text => {
      lines.push(text)
      for (const look of heard) look(text)
    },
  })
  done.catch(() => {})
  const dial = async (): Promise<Socket> => {
    const socket = connect(Number(/:(\d+) ->/.exec(await line(/->/))![1]), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  return { done, line, lines, dial }
}

it('carries bytes both ways, whole, each connection by itself, and ends with its signal', async () => {
  const forwarding = start('vnc')
  const sent = randomBytes(3_000_000)
  const digests = await Promise.all(
    [0, 1].map(async () => {
      const socket = await forwarding.dial()
      const hash = createHash('sha256')
      let got = 0
      socket.write(sent)
      for await (const part of socket) {
        hash.update(part)
        got += part.length
        if (got === sent.length) break
      }
      return hash.digest('hex')
    }),
  )
  const whole = createHash('sha256').update(sent).digest('hex')
  expect(digests).toEqual([whole, whole])
  expect(asked).toEqual(Array(2).fill(`/v1/sessions/ses_1/vnc Bearer ${token}`))
  const open = await forwarding.dial()
  life.abort()
  await forwarding.done
  await once(open, 'close')
})

it('says the API’s own words when a connection is refused, and goes on listening', async () => {
  const forwarding = start(81)
  const socket = await forwarding.dial()
  socket.resume()
  await once(socket, 'close')
  await forwarding.line(/81: The template declares no port 81\./)
  await forwarding.dial()
})

it('says how a stream ended that did not end well', async () => {
  const forwarding = start(82)
  const socket = await forwarding.dial()
  socket.resume()
  await once(socket, 'close')
  await forwarding.line(/82: closed with 4410 target_ended/)
})

it('a program that breaks off is no trouble worth telling', async () => {
  const forwarding = start('vnc')
  const socket = await forwarding.dial()
  socket.write('hello')
  await once(socket, 'data')
  const [ws] = sockets.clients
  socket.resetAndDestroy()
  await once(ws!, 'close')
  const next = await forwarding.dial()
  next.write('hello')
  await once(next, 'data')
  expect(forwarding.lines.filter(line => !line.includes('->'))).toEqual([])
})

it('an id is taken as it is; a name must be one session’s', async () => {
  await expect(start('vnc', 'nobody').done).rejects.toThrow(/No living session is named "nobody"/)
  await expect(start('vnc', 'twins').done).rejects.toThrow(/Several sessions/)
  await expect(start('vnc', 'desk', 'wrong').done).rejects.toThrow(new CommandError('A token is needed.'))
  await start('vnc', 'ses_7').dial()
})

it('another program at that address is not taken for an API without sessions', async () => {
  api.removeAllListeners('request')
  api.on('request', (_request, response) => response.end('<h1>It works!</h1>'))
  await expect(start('vnc').done).rejects.toThrow(`What answers at ${url} is no Porthole (200).`)
})

it('a port in use and an API that is not there are sentences', async () => {
  const { port } = api.address() as AddressInfo
  const options = { url, token, session: 'desk', address: '127.0.0.1', signal: life.signal, say() {} }
  await expect(forward({ ...options, ports: [{ local: port, remote: 'vnc' }] })).rejects.toThrow(/port \d+: it is in use/)
  api.close()
  await expect(forward({ ...options, ports: [] })).rejects.toThrow(`${url} does not answer: ECONNREFUSED`)
})
