/**
 * `NODE_COMPILE_CACHE=<folder> node warm-code.ts`: fills the cache of compiled code with what a session's start loads. With `--watch-stdin`
 * the end of stdin is the end of it, as with a session (killing the sandbox from outside does not reach its inside).
 */
import { flushCompileCache } from 'node:module'

if (process.argv.includes('--watch-stdin')) process.stdin.on('end', () => process.exit(1)).resume()

await import('playwright-core')
await import('./session.ts')
await import('./http-server.ts')
flushCompileCache()
process.stdout.write('warm\n', () => process.exit())
