/** Vitest reporter: names what was skipped and why, and ends with one plain line that people and CI read alike. */
import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node'

export default class ClosingLine implements Reporter {
  /** Files that this run leaves out, each with its reason; they count as skipped. */
  readonly leftOut: string[]

  constructor(leftOut: string[] = []) {
    this.leftOut = leftOut
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const counts = { passed: 0, failed: errors.length, skipped: this.leftOut.length }
    const lines = this.leftOut.map(file => `skipped: ${file}`)
    for (const module of modules) {
      // A file that did not load has no tests to count.
      const broken = module.errors().length
      counts.failed += broken
      if (broken) lines.push(`failed: ${module.relativeModuleId}: the file itself`)
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'pending') continue
        counts[state] += 1
        const retries = test.diagnostic()?.retryCount ?? 0
        if (state === 'passed' && retries > 0)
          lines.push(`flaky: ${module.relativeModuleId} > ${test.fullName} (passed at try ${retries + 1})`)
        if (state === 'passed') continue
        const result = test.result()
        const note = result.state === 'skipped' && result.note ? ` (${result.note})` : ''
        lines.push(`${state}: ${module.relativeModuleId} > ${test.fullName}${note}`)
      }
    }
    if (reason === 'interrupted') lines.push('The run was interrupted.')
    console.log(['', ...lines, `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`].join('\n'))
  }
}
