/** A small HTTP server whose WebSocket upgrades are dialled through a runtime: what agent and API do together, without either, for real clients. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type WebSocket from 'ws'
import { WebSocketServer } from 'ws'
import { DialError, type Runtime } from '../runtime.ts'

export interface DialBridge {
  playwright: string
  cdp: string
  close(): Promise<void>
}

export async function openBridge(runtime: Runtime, session: string): Promise<DialBridge> {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 2 ** 28 })
  const server = createServer()
  server.on('upgrade', async (request, socket, head) => {
    const kind = request.url === '/cdp' ? 'cdp' : 'playwright'
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value)
    try {
      const dialled = await runtime.dial(session, { kind, headers }, AbortSignal.timeout(10_000))
      if (dialled.kind !== 'messages') throw new Error('not a message stream')
      sockets.handleUpgrade(request, socket, head, client => join(client, dialled.socket))
    } catch (cause) {
      const { status, message } = cause instanceof DialError ? cause : { status: 500, message: (cause as Error).message }
      socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const at = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    playwright: `${at}/playwright`,
    cdp: `${at}/cdp`,
    close: () =>
      new Promise(resolve => {
        for (const client of sockets.clients) client.terminate()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function join(client: WebSocket, target: WebSocket): void {
  client.on('message', (data, isBinary) => target.send(data, { binary: isBinary }))
  target.on('message', (data, isBinary) => client.send(data, { binary: isBinary }))
  client.on('close', () => target.close())
  target.on('close', () => client.close())
  for (const leg of [client, target]) leg.on('error', () => leg.terminate())
  target.resume()
}
