/** The door itself, over a real socket: what it refuses is told, also to who is still sending. */
import { mkdtemp, rm } from 'node:fs/promises'
import { request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HostSpec } from './host-spec.ts'
import { type Actions, serve } from './http-server.ts'
import type { SessionStatus } from './session-status.ts'

let home: string
let socket: string
let server: Server
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'porthole-door-'))
  socket = join(home, 'door.sock')
  const spec = { home, listen: { socket } } as unknown as HostSpec
  server = await serve(spec, {} as SessionStatus, {} as Actions)
})
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await rm(home, { recursive: true, force: true })
})

function ask(method: string, path: string, body: Buffer): Promise<{ status: number; text: string }> {
  return new Promise((answered, failed) => {
    const outgoing = request({ socketPath: socket, method, path, headers: { 'content-length': body.length }, agent: false })
    outgoing.once('error', failed)
    outgoing.once('response', async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      answered({ status: response.statusCode!, text })
    })
    // In pieces, as it comes from a viewer.
    for (let at = 0; at < body.length; at += 65_536) outgoing.write(body.subarray(at, at + 65_536))
    outgoing.end()
  })
}

test.each([
  ['PUT', '/files/', 409, 'conflict'],
  ['PUT', '/files/a%00b', 400, 'invalid'],
  ['POST', '/nowhere', 404, 'not_found'],
  ['POST', '/display', 413, 'too_large'],
])('%s %s is answered %i, however much was sent', async (method, path, status, code) => {
  for (const size of [1, 100, 1_000_000, 4_000_000]) {
    for (let n = 0; n < 5; n++) {
      const answer = await ask(method, path, Buffer.alloc(size, 0x20))
      if (path === '/display' && size <= 65_536) expect(answer.status).toBe(400)
      else expect([answer.status, JSON.parse(answer.text).code]).toEqual([status, code])
    }
  }
})
