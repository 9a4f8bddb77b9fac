/** The Worker as one module, bundled the way wrangler does it; wrangler.toml stays the one place that says how it is run. */
import { join } from 'node:path'
import { build } from 'esbuild'

/** `conditions` choose the Workers builds of packages (postgres.js has one of its own). */
export async function bundleWorker(root: string, minify = false): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'api/workers/main.ts')],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    platform: 'neutral',
    mainFields: ['browser', 'module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
    minify,
    logLevel: 'silent',
  })
  return outputFiles[0]!.text
}
