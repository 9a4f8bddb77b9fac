/** workerd on this machine, with what wrangler.toml binds: objects, assets, and Postgres where Hyperdrive would be. */
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { unstable_getMiniflareWorkerOptions } from 'wrangler'
import { bundleWorker } from './worker-bundle.ts'

const workerName = 'porthole'

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
  /** An object is put to sleep, as idle ones are after some seconds: its sockets stay, its memory goes. */
  sleep(className: string, name: string): Promise<void>
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
          name: workerName,
          // Without miniflare's own Worker in front, which compresses what should stream and costs a hop.
          unsafeDirectSockets: [{ host, port, entrypoint: 'edge' }],
          modules: [{ type: 'ESModule', path: join(root, 'worker.mjs'), contents: script }],
          bindings: { ...(shape.bindings ?? {}), ...vars },
          hyperdrives: { HYPERDRIVE: databaseUrl },
          assets: { ...shape.assets!, directory: join(root, 'web/dist') },
        },
      ],
    })
  const miniflare = keepingOurSignals(() => new Miniflare(miniflareOptions()))
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
    sleep: (className, name) => miniflare.unsafeEvictDurableObject(workerName, className, { name, webSockets: 'hibernate' }),
    stop: () => miniflare.dispose(),
  }
  await running.scheduled()
  return running
}

/** Miniflare ends the process on a signal, in the middle of everything: how we end is our program's to say. */
function keepingOurSignals<T>(make: () => T): T {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const ours = new Map(signals.map(signal => [signal, new Set(process.listeners(signal))]))
  const made = make()
  for (const signal of signals) {
    for (const listener of process.listeners(signal)) if (!ours.get(signal)!.has(listener)) process.off(signal, listener)
  }
  return made
}
