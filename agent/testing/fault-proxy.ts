/** A TCP proxy that can turn into a black hole: connections stay up, bytes vanish both ways, nobody is told. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export class FaultProxy {
  mode: 'pass' | 'blackhole' = 'pass'
  connections = 0
  readonly origin: string
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(server: Server, target: number) {
    this.server = server
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', near => {
      this.connections++
      const far = connect(target, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.sockets.add(from)
        from.on('error', () => {})
        from.on('data', data => {
          if (this.mode === 'pass') to.write(data)
        })
        from.on('close', () => {
          this.sockets.delete(from)
          if (this.mode === 'pass') to.destroy()
        })
      }
    })
  }

  static async start(origin: string): Promise<FaultProxy> {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return new FaultProxy(server, Number(new URL(origin).port))
  }

  /** Whatever went into the hole stays there: old connections do not come back to life. */
  heal(): void {
    this.mode = 'pass'
    for (const socket of this.sockets) socket.removeAllListeners('data').resume()
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>(resolve => this.server.close(() => resolve()))
  }
}
