import { exerciseRuntime } from '../runtime-conformance.ts'
import { localLab, localSpec } from '../testing/local-lab.ts'

exerciseRuntime('local', () => localLab(), {
  browser: localSpec(),
  headless: localSpec({ headless: true }),
  outlivesAgent: false,
})
