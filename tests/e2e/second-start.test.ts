/** Ctrl-C and `npm start` again: what was there is found again, what ended with the first start says so, and nothing of it still runs. */
import { rmSync } from 'node:fs'
import { afterAll, expect, it } from 'vitest'
import { type Installation, install } from './installation.ts'

let porthole: Installation | null = null
let dataDir: string | undefined

afterAll(async () => {
  await porthole?.stop()
  if (dataDir) rmSync(dataDir, { recursive: true, force: true })
}, 60_000)

it('finds tokens, clusters and sessions again, and a stopped session starts', async () => {
  porthole = await install()
  dataDir = porthole.dataDir
  const running = await porthole.session({ name: 'runs' })
  const resting = await porthole.session({ name: 'rests' })
  await porthole.api('POST', `/v1/sessions/${resting.id}/stop`)
  await porthole.eventually(resting.id, session => session.status === 'stopped')
  const made = await porthole.api('POST', '/v1/tokens', { name: 'kept', scopes: ['sessions:read'] })
  const [cluster] = (await porthole.api('GET', '/v1/clusters')).body.data
  expect(await porthole.stop({ keep: true })).toMatchObject({ code: 0, left: [] })

  porthole = await install({ dataDir })
  const ended = await porthole.eventually(running.id, session => session.status === 'failed')
  expect(ended.status_reason).toMatch(/agent/)
  expect((await porthole.api('GET', '/v1/clusters')).body.data).toMatchObject([{ id: cluster.id, status: 'online' }])
  const withToken = await fetch(`${porthole.url}/v1/sessions`, { headers: { Authorization: `Bearer ${made.body.token}` } })
  expect(withToken.status).toBe(200)
  await porthole.api('POST', `/v1/sessions/${resting.id}/start`)
  await porthole.eventually(resting.id, session => session.status === 'running', 60)
}, 240_000)

it('a second one on the same folder says so and leaves', async () => {
  await expect(install({ dataDir: porthole!.dataDir })).rejects.toThrow(/ended with 1[\s\S]*(another|already|in use)/i)
}, 60_000)
