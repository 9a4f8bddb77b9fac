import { afterEach, expect, it } from 'vitest'
import { type Health, serveHealth } from './health.ts'

let health: Health | undefined
afterEach(() => health?.close())

it('is alive without a link and ready only with one', async () => {
  let linked = false
  health = await serveHealth({ port: 0, host: '127.0.0.1', ready: () => linked })
  const ask = async (path: string, method = 'GET') => (await fetch(`http://127.0.0.1:${health!.port}${path}`, { method })).status
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 503])
  linked = true
  expect([await ask('/live'), await ask('/ready')]).toEqual([200, 200])
  expect([await ask('/'), await ask('/ready?x'), await ask('/live', 'POST')]).toEqual([404, 404, 404])
})

it('a taken port is an error, not silence', async () => {
  health = await serveHealth({ port: 0, host: '127.0.0.1', ready: () => true })
  await expect(serveHealth({ port: health.port, host: '127.0.0.1', ready: () => true })).rejects.toThrow('EADDRINUSE')
})
