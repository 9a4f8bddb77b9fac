/** `npm test [files]`: readies this machine, then runs every test that needs no cluster. `npm run test:cluster`: those that need one. */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { parseCLI, startVitest } from 'vitest/node'
import ClosingLine from './closing-line.ts'
import { readSetupConfig, Told } from './config.ts'
import { prepareMachine } from './machine.ts'
import { runProgram } from './program.ts'
import { ensureWebAssets } from './web-assets.ts'

await runProgram(async (say, signal, ending) => {
  const { root, dataDir, environment } = readSetupConfig()
  const [first, ...rest] = process.argv.slice(2)
  const cluster = first === '--cluster'
  const { filter, options } = parseCLI(['vitest', 'run', ...(cluster ? rest : process.argv.slice(2))])
  if (cluster && !environment.KUBECONFIG) throw new Told('These tests need a cluster: KUBECONFIG=<file> npm run test:cluster')

  // One after the other: on a small machine, compiling beside dpkg helps neither.
  if (!(await prepareMachine({ dataDir, say, signal }))) throw new Told('Without them most tests mean nothing; nothing was run')
  await ensureWebAssets({ root, say, signal })

  const clusterFiles = globSync('**/*.cluster.test.ts', { cwd: root, exclude: ['**/node_modules/**'] })
  const left =
    cluster || filter.length > 0
      ? []
      : clusterFiles.map(file => `${file} (needs a cluster: KUBECONFIG=<file> npm run test:cluster)`)
  const vitest = await startVitest('test', filter, {
    ...options,
    run: true,
    watch: false,
    root,
    config: join(root, 'vitest.config.ts'),
    project: cluster ? ['cluster'] : ['node', 'house', 'whole'],
    reporters: ['default', new ClosingLine(left)],
  })
  ending.add(() => vitest.close())
  return process.exitCode ? 1 : 0
})
