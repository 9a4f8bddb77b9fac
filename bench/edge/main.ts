/**
 * `npm run bench:edge [--quick] [--json]`: what the API costs in workerd on this machine. CPU time is the kernel's count for the workerd process, so
 * that other load on the machine moves it little; milliseconds of wall time are only a hint.
 */
import { join } from 'node:path'
import { benchRelay } from './relay.ts'
import { benchWorker } from './worker.ts'

const root = join(import.meta.dirname, '../..')
const quick = process.argv.includes('--quick')
const say = (line: string) => process.stderr.write(`${line}\n`)

const worker = await benchWorker(root, quick ? 5 : 30, say)
const relay = await benchRelay(root, quick ? 0.3 : 1.5, say)
if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ worker, relay }, null, 2)}\n`)
process.exit(0)
