/**
 * `npm run api`, and the API's process under `npm start`. A parent gets `{type:'ready', url}` or `{type:'fatal', message}` over IPC; when the
 * parent is gone, so are we.
 */
import { readFileSync } from 'node:fs'
import { readSettings } from './config.ts'
import { jsonLog } from './log.ts'
import { type RunningApi, startApi } from './start.ts'

/** Longer than any part of an orderly end. */
const lastResortMs = 4_500

const log = jsonLog()
let running: Promise<RunningApi> | null = null
let ending = false

async function end(code: number): Promise<void> {
  if (ending) return
  ending = true
  setTimeout(() => process.exit(code || 1), lastResortMs).unref()
  const api = await running?.catch(() => null)
  await api?.close()
  process.exit(code)
}

function fatal(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  log.error('fatal', { message, stack: error instanceof Error ? error.stack : undefined })
  process.send?.({ type: 'fatal', message })
  void end(1)
}

process.on('uncaughtException', fatal)
// Nothing of ours floats; one of a library's must not cost everybody their streams.
process.on('unhandledRejection', error =>
  log.error('unhandled_rejection', { error, stack: error instanceof Error ? error.stack : undefined }),
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(0))
process.on('disconnect', () => void end(0))

try {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  running = startApi(readSettings(process.env, version), log)
  const { url, adminToken } = await running
  if (process.send) process.send({ type: 'ready', url })
  else process.stdout.write(`Porthole ${url}\nAdmin token: ${adminToken.file}\n`)
} catch (error) {
  fatal(error)
}
