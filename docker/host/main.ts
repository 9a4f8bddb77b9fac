/** Entry: `node main.ts <spec.json>` (or PORTHOLE_SPEC). Starts one session, opens its door, and ends with it. */
import { join } from 'node:path'
import { readSpec } from './host-spec.ts'
import { serve } from './http-server.ts'
import { Session } from './session.ts'
import { SessionStatus } from './session-status.ts'

const path = process.argv[2] ?? process.env.PORTHOLE_SPEC
if (!path) {
  process.stderr.write('host: name a spec file\n')
  process.exit(2)
}
const spec = readSpec(path)
// Playwright keeps a registry in the cache folder; whatever home this process was started with is not the session's.
Object.assign(process.env, { HOME: spec.home, XDG_CACHE_HOME: join(spec.scratch, 'cache') })
const status = new SessionStatus()
if (spec.notify_fd !== undefined) status.notifyTo(spec.notify_fd)
status.phase('created')
const session = new Session(spec, status, code => process.exit(code))

process.on('SIGTERM', () => void session.end('stopped', 'The session was ended'))
process.on('SIGINT', () => void session.end('stopped', 'The session was ended'))
process.on('uncaughtException', fault => {
  process.stderr.write(`host: ${fault.stack}\n`)
  void session.end('failed', `The host program failed: ${fault.message}`)
})
// The log's reader went away; the stdin pipe says whether that matters.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

if (spec.watch_stdin) {
  let said = ''
  process.stdin.on('data', chunk => {
    said = (said + String(chunk)).slice(-200)
  })
  const ended = () => {
    const grace = /"grace_ms":\s*(\d+)/.exec(said)
    void session.end('stopped', 'The session was ended', grace ? Number(grace[1]) : undefined)
  }
  process.stdin.on('end', ended)
  process.stdin.on('error', ended)
}

const starting = session.start()
await serve(spec, status, session.actions)
status.phase('listening')
await starting
