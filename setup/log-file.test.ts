import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { expect, it } from 'vitest'
import { logFile } from './log-file.ts'

it('keeps the newest, at most twice its limit, across openings, for its owner only', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'log-'))
  const path = join(dir, 'deep/api.log')
  try {
    for (const batch of [0, 1, 2]) {
      const log = logFile(path, 1000)
      for (let line = 0; line < 30; line++) log.write(`${String(batch * 30 + line).padStart(19)}\n`)
      log.end()
      await finished(log)
    }
    const kept = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8')
    const numbers = kept.trim().split('\n').map(Number)
    expect(kept.length).toBeLessThanOrEqual(2000)
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 90 - numbers.length + i))
    expect(statSync(path).mode & 0o777).toBe(0o600)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
