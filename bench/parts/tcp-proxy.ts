/** A bare TCP proxy of Node, the least that can stand between: `tcp-proxy.ts <port>`. */
import { connect, createServer } from 'node:net'

const target = Number(process.argv[2])
const server = createServer(near => {
  const far = connect({ port: target, host: '127.0.0.1', noDelay: true })
  near.setNoDelay(true)
  for (const [a, b] of [
    [near, far],
    [far, near],
  ] as const) {
    a.on('error', () => b.destroy())
    a.pipe(b)
  }
})
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as { port: number }).port }))
process.on('disconnect', () => process.exit(0))
