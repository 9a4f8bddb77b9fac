#!/usr/bin/env node
/** The command `porthole`, on whatever Node the machine has: `npx porthole forward …` in a clone. */
import { run } from '../setup/run.mjs'

await run(['porthole', ...process.argv.slice(2)])
