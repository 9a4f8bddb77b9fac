/**
 * A network in between: what is said arrives so many milliseconds later, in order, and a connection stands only after the round trip that its handshake
 * takes.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface DelayedWay {
  /** Of 127.0.0.1: leads to the port it was made for. */
  port: number
  close(): Promise<void>
}

export async function delayedWay(port: number, ms: number): Promise<DelayedWay> {
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true })
    near.setNoDelay(true)
    // The kernel has answered at once: what the dialler says first is said two ways later.
    carry(near, far, ms, performance.now() + 3 * ms)
    carry(far, near, ms, 0)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** What `from` says, and its end, reach `to` in `ms`, nothing before `earliest`. */
function carry(from: Socket, to: Socket, ms: number, earliest: number): void {
  const under: { due: number; bytes: Buffer | null }[] = []
  let timer: NodeJS.Timeout | null = null
  const arrive = () => {
    timer = null
    while (under.length > 0 && under[0]!.due <= performance.now()) {
      const { bytes } = under.shift()!
      if (bytes) to.write(bytes)
      else to.end()
    }
    if (under.length > 0) timer = setTimeout(arrive, Math.max(0, under[0]!.due - performance.now()))
  }
  const send = (bytes: Buffer | null) => {
    const due = Math.max(performance.now() + ms, earliest)
    under.push({ due, bytes })
    timer ??= setTimeout(arrive, due - performance.now())
  }
  from.on('data', send)
  from.once('end', () => send(null))
  from.once('close', () => {
    if (timer && to.destroyed) clearTimeout(timer)
  })
}
