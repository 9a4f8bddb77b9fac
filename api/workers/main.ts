/** The entry on Cloudflare Workers: the app, the dashboard's files, and the objects that hold links and streams. */
import { createApp } from '../app.ts'
import { newId } from '../ids.ts'
import { Problem, problemResponse } from '../problem.ts'
import { type Bindings, readBindings } from './bindings.ts'
import { edgeLog } from './log.ts'
import { page } from './pages.ts'
import { RequestScope, workersPlatform } from './platform.ts'

export { ClusterObject } from './cluster-object.ts'
export { KeeperObject } from './keeper-object.ts'
export { StreamObject } from './stream-object.ts'

/** Uses of tokens are written once a minute by each isolate. */
const usesMs = 60_000

interface Isolate extends ReturnType<typeof createApp> {
  config: ReturnType<typeof readBindings>
  usesAt: number
}
/** Made with the first request: an isolate may not draw random numbers or read settings before. */
let isolate: Isolate | null = null

function start(bindings: Bindings): Isolate {
  const config = readBindings(bindings)
  return { ...createApp(workersPlatform(config, edgeLog)), config, usesAt: Date.now() }
}

/** workerd tells a length only of a stream that is bound to keep it; whoever downloads wants to know. */
function withLength(response: Response): Response {
  const length = response.headers.get('content-length')
  if (response.body === null || length === null) return response
  return new Response(response.body.pipeThrough(new FixedLengthStream(Number(length))), response)
}

/** Under a name, too: what runs it on one machine then needs none of its own Workers in between. */
export const edge = {
  async fetch(request, bindings, ctx) {
    try {
      const file = await page(request, bindings)
      if (file) return file
      isolate ??= start(bindings)
      const { app, auth, config } = isolate
      const scope = new RequestScope(request, bindings, { config, log: edgeLog, waitUntil: work => ctx.waitUntil(work) })
      const response = await app.fetch(request, scope as never)
      if (Date.now() - isolate.usesAt > usesMs) {
        isolate.usesAt = Date.now()
        scope.services.defer(auth.flushUses(scope.services))
      }
      ctx.waitUntil(scope.close(response))
      return withLength(response)
    } catch (error) {
      edgeLog.error('request_failed', { message: String(error), stack: (error as Error).stack })
      return problemResponse(new Problem('internal', 'Something went wrong on our side.'), newId('req'))
    }
  },

  async scheduled(_event, { KEEPER }) {
    await KEEPER.get(KEEPER.idFromName('keeper')).wake()
  },
} satisfies ExportedHandler<Bindings>

export default edge
