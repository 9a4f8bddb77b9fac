/** A network between an agent and its API that can be cut: what was connected breaks, and nothing connects until it is mended. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface CutNetwork {
  /** The API, as the agent sees it. */
  url: string
  cut(): void
  mend(): void
  close(): Promise<void>
}

export async function cutNetwork(to: string): Promise<CutNetwork> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  let whole = true
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer(near => {
    keep(near)
    if (!whole) return near.destroy()
    const far = connect(Number(port), hostname)
    keep(far)
    near.pipe(far).pipe(near)
    near.once('close', () => far.destroy())
    far.once('close', () => near.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as { port: number }
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut() {
      whole = false
      breakAll()
    },
    mend() {
      whole = true
    },
    async close() {
      whole = false
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
