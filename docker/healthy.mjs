/** `node healthy.mjs <port> <path>`: HEALTHCHECK for docker and compose (Kubernetes asks by itself). Exit 0 when the answer is a 2xx. */
import { get } from 'node:http'

const [port, path] = process.argv.slice(2)
const request = get({ host: '127.0.0.1', port, path, timeout: 4000 }, response => {
  process.exitCode = response.statusCode >= 200 && response.statusCode < 300 ? 0 : 1
  response.resume()
})
request.on('timeout', () => request.destroy(new Error('no answer in time')))
request.on('error', error => {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
})
