/**
 * `npm run bench [-- names] [--rounds N] [--scale 0.2] [--json FILE]`: measures, prints a table, writes JSON. Every figure stands beside its peer of the
 * same run, in interleaved rounds; what it takes no peer for stands alone. Without names all suites run, one after the other.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { burstSuite } from './burst.ts'
import { createSuite } from './creates.ts'
import { type Figure, meets, ratioOf, table } from './figures.ts'
import { firstFrameSuite } from './first-frame.ts'
import { leakSuite } from './leaks.ts'
import { lifecycleSuite } from './lifecycle.ts'
import { openingSuite } from './opening.ts'
import type { Options } from './options.ts'
import { growthSuite, idleSuite, requestSuite } from './scale.ts'
import { stalledSuite } from './stalled.ts'
import { streamSuite } from './stream.ts'

const suites: Record<string, (options: Options) => Promise<Figure[]>> = {
  lifecycle: lifecycleSuite,
  burst: burstSuite,
  'first-frame': firstFrameSuite,
  stream: streamSuite,
  opening: openingSuite,
  stalled: stalledSuite,
  requests: requestSuite,
  creates: createSuite,
  idle: idleSuite,
  growth: growthSuite,
  leaks: leakSuite,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string', default: 'bench-results.json' },
  },
})
const unknown = positionals.filter(name => !Object.hasOwn(suites, name))
if (unknown.length > 0) {
  process.stderr.write(`No such suite: ${unknown.join(', ')}. There are ${Object.keys(suites).join(', ')}\n`)
  process.exit(1)
}
const say = (line: string) => void process.stderr.write(`${line}\n`)
const options: Options = { rounds: Number(values.rounds), scale: Number(values.scale), say }

const began = Date.now()
const loadBefore = loadavg()[0]!
const figures: Figure[] = []
const faults: { suite: string; message: string }[] = []
const machine = () => ({
  cpus: availableParallelism(),
  memory_gb: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  load: { before: loadBefore, after: loadavg()[0]! },
})
/** After each suite: what was measured is kept, whatever becomes of the rest. */
const write = () => {
  const results = figures.map(figure => ({ ...figure, ratio: ratioOf(figure), met: meets(figure) }))
  const whole = { at: new Date(began).toISOString(), machine: machine(), options: values, results, faults }
  writeFileSync(values.json, `${JSON.stringify(whole, null, 2)}\n`)
}
for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
  say(`${name} …`)
  try {
    const found = await suites[name]!(options)
    figures.push(...found)
    process.stdout.write(`\n${table(found)}\n\n`)
  } catch (error) {
    faults.push({ suite: name, message: String((error as Error).stack ?? error) })
    say(`${name} failed: ${(error as Error).stack ?? error}`)
  }
  write()
}
const { cpus, memory_gb, node, load } = machine()
process.stdout.write(
  `${cpus} CPUs, ${memory_gb} GB, Node ${node}, load ${load.before.toFixed(1)} to ${load.after.toFixed(1)}, ` +
    `${Math.round((Date.now() - began) / 1000)} s. Ratios within this run only.\n`,
)
say(`Written to ${values.json}`)
process.exit(faults.length > 0 ? 1 : 0)
