/** workerd on this machine, with what wrangler.toml binds: objects, assets, and Postgres where Hyperdrive would be. */
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { unstable_getMiniflareWorkerOptions } from 'wrangler'
import { bundleWorker } from './worker-bundle.ts'

export interface WorkerdOptions {
  root: string
  databaseUrl: string
  host: string
  port: number
  /** Settings and secrets on top of wrangler.toml's. */
  vars: Record<string, string>
  log(line: string): void
}

export interface Workerd {
  /** The Worker anew, as a release does it: every socket is dropped, objects start over. */
  release(): Promise<void>
  /** What cron does every minute. */
  scheduled(): Promise<void>
  stop(): Promise<void>
}

export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const { root, databaseUrl, host, port, vars, log } = options
  const script = await bundleWorker(root)
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, 'wrangler.toml'), 'dev')
  const { modulesRules: _, ...shape } = workerOptions
  const miniflareOptions = () =>
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      logRequests: false,
      telemetry: { enabled: false },
      handleStructuredLogs: ({ message }) => log(message),
      workers: [
        {
          ...shape,
          // Without miniflare's own Worker in front, which compresses what should stream and costs a hop.
          unsafeDirectSockets: [{ host, port, entrypoint: 'edge' }],
          modules: [{ type: 'ESModule', path: join(root, 'worker.mjs'), contents: script }],
          bindings: { ...(shape.bindings ?? {}), ...vars },
          hyperdrives: { HYPERDRIVE: databaseUrl },
          assets: { ...shape.assets!, directory: join(root, 'web/dist') },
        },
      ],
    })
  const miniflare = new Miniflare(miniflareOptions())
  await miniflare.ready
  const running: Workerd = {
    async release() {
      await miniflare.setOptions(miniflareOptions())
      await miniflare.ready
      await running.scheduled()
    },
    async scheduled() {
      const worker = await miniflare.getWorker()
      await worker.scheduled({ cron: '* * * * *' })
    },
    stop: () => miniflare.dispose(),
  }
  await running.scheduled()
  return running
}
