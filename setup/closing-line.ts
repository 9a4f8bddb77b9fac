/** Vitest reporter: names what was skipped and why, and ends with one plain line that people and CI read alike. */
import { stripVTControlCharacters } from 'node:util'
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
      const broken = module.errors()
      counts.failed += broken.length
      if (broken.length) lines.push(`failed: ${module.relativeModuleId}: the file itself${why(broken)}`)
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'pending') continue
        counts[result.state] += 1
        const name = `${module.relativeModuleId} > ${test.fullName}`
        const retries = test.diagnostic()?.retryCount ?? 0
        if (result.state === 'failed') lines.push(`failed: ${name}${why(result.errors)}`)
        else if (result.state === 'skipped') lines.push(`skipped: ${name}${result.note ? ` (${result.note})` : ''}`)
        else if (retries > 0) lines.push(`flaky: ${name} (passed at try ${retries + 1})${why(result.errors ?? [])}`)
      }
    }
    if (reason === 'interrupted') lines.push('The run was interrupted.')
    console.log(['', ...lines, `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`].join('\n'))
  }
}

/** The first line of the first error: enough to know where to look when the rest of the log is gone. */
function why(errors: readonly { message?: string }[]): string {
  const line = stripVTControlCharacters(errors[0]?.message ?? '').split('\n', 1)[0]!
  return line && `: ${line.slice(0, 200)}`
}
