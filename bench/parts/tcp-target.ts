/**
 * What streams reach: one TCP server that does as the first line of a connection says. `send N`: N bytes, then it waits; `echo`: says back what comes;
 * `rate B`: B bytes a second until the other end leaves. A second one speaks first, as screens do.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'

const chunk = Buffer.alloc(64 * 1024, 7)

const server = createServer(socket => {
  socket.setNoDelay(true)
  socket.on('error', () => {})
  socket.once('data', first => {
    const end = first.indexOf('\n')
    const [word, amount] = first.subarray(0, end).toString().split(' ')
    if (word === 'echo') {
      const rest = first.subarray(end + 1)
      if (rest.length > 0) socket.write(rest)
      socket.pipe(socket)
    } else if (word === 'send') new Send(Number(amount)).pipe(socket, { end: false })
    else if (word === 'rate') rate(socket, Number(amount))
  })
})

class Send extends Readable {
  private left: number
  constructor(bytes: number) {
    super({ highWaterMark: 256 * 1024 })
    this.left = bytes
  }
  override _read(): void {
    const size = Math.min(chunk.length, this.left)
    this.left -= size
    this.push(size === 0 ? null : size === chunk.length ? chunk : chunk.subarray(0, size))
  }
}

function rate(socket: Socket, bytesPerSecond: number): void {
  const timer = setInterval(() => socket.writableLength < 2 ** 20 && socket.write(chunk.subarray(0, bytesPerSecond / 100)), 10)
  socket.once('close', () => clearInterval(timer))
}

const greeter = createServer(socket => {
  socket.on('error', () => {})
  socket.resume().write('hello')
})

const ports: number[] = []
for (const each of [server, greeter]) {
  each.listen(0, '127.0.0.1')
  await once(each, 'listening')
  ports.push((each.address() as AddressInfo).port)
}
process.send!({ port: ports[0], greeter: ports[1] })
process.on('disconnect', () => process.exit(0))
