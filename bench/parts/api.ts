/** The API as it runs on Node, with an ear for the bench: it collects garbage and says what it holds when asked. */
import { readSettings } from '#api/node/config.ts'
import { startApi } from '#api/node/start.ts'

const quiet = { info() {}, warn() {}, error() {} }
const settings = readSettings({ ...process.env, PORT: '0' }, '0.0.0-bench')
settings.api.requestsPerMinute = 100_000_000
const api = await startApi(settings, quiet)
process.on('message', () => {
  globalThis.gc?.()
  globalThis.gc?.()
  const resources = process.getActiveResourcesInfo()
  process.send!({
    memory: process.memoryUsage(),
    resources: resources.length,
    sockets: resources.filter(each => /TCP/.test(each)).length,
  })
})
const end = () => void api.close().then(() => process.exit(0))
process.on('SIGTERM', end)
process.on('disconnect', () => process.exit(0))
process.send!({ url: api.url, token: api.adminToken.token })
