/**
 * For whoever supervises the process: `GET /live` answers as long as the event loop turns, `GET /ready` says whether the link to the API works.
 * Nothing else is told: this is the only port the agent has, and anybody in its network may ask.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Health {
  port: number
  close(): Promise<void>
}

export async function serveHealth(options: { port: number; host?: string; ready: () => boolean }): Promise<Health> {
  const server = createServer((request, response) => {
    const known = request.method === 'GET' && (request.url === '/live' || request.url === '/ready')
    const status = !known ? 404 : request.url === '/live' || options.ready() ? 200 : 503
    response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
    response.end(status === 200 ? 'ok\n' : status === 503 ? 'no link to the API\n' : 'not found\n')
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 5_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}
