/**
 * The charts without helm: `node deploy/render.ts porthole-agent --set url=https://… --set joinToken=… | kubectl apply -f -`.
 * `--write` brings deploy/manifests up to date.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { asYaml, renderChart, setValue, type Values } from './chart.ts'
import { manifestFiles } from './manifests.ts'

const here = import.meta.dirname
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    namespace: { type: 'string', short: 'n' },
    values: { type: 'string', short: 'f', multiple: true, default: [] },
    set: { type: 'string', multiple: true, default: [] },
    write: { type: 'boolean', default: false },
  },
})

try {
  if (options.write) for (const { file, text } of manifestFiles(here)) writeFileSync(join(here, 'manifests', file), text)
  else process.stdout.write(asYaml(chosen()))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

function chosen() {
  const [chart, ...more] = positionals
  if (!chart || more.length > 0) throw new Error('which chart? porthole-agent or porthole')
  const namespace = options.namespace ?? 'porthole-system'
  let values: Values = chart === 'porthole-agent' ? { namespace: { create: true } } : {}
  for (const file of options.values) values = { ...values, ...(parse(readFileSync(file, 'utf8')) as Values) }
  for (const assignment of options.set) values = setValue(values, assignment)
  return renderChart(join(here, 'helm', chart), { name: chart, namespace, values })
}
