/** Says that the port is taken before minutes of other work, not after. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Told } from './config.ts'

export async function requirePort(host: string, port: number): Promise<void> {
  const server = createServer()
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE')
      throw new Told(`Port ${port} on ${host} is taken by another program: end that, or choose another: PORT=${port + 1}`)
    throw new Told(`Cannot listen on ${host} port ${port}: ${message}`)
  }
  server.close()
  await once(server, 'close')
}

/** One that nobody has, for a program that must be told its address before it listens. */
export async function freePort(host: string): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
