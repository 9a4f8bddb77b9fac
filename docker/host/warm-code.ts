/** `NODE_COMPILE_CACHE=<folder> node warm-code.ts`: fills the cache of compiled code with what a session's start loads. */
import { flushCompileCache } from 'node:module'

await import('playwright-core')
await import('./session.ts')
await import('./http-server.ts')
flushCompileCache()
process.stdout.write('warm\n')
