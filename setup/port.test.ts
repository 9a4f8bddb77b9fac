import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { Told } from './config.ts'
import { requirePort } from './port.ts'

it('says in one line that the port is taken, and leaves a free one free', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  await expect(requirePort('127.0.0.1', port)).rejects.toEqual(
    new Told(`Port ${port} on 127.0.0.1 is taken by another program: end that, or choose another: PORT=${port + 1}`),
  )
  other.close()
  await once(other, 'close')
  await requirePort('127.0.0.1', port)
  await requirePort('127.0.0.1', port)
})
