/**
 * The pool of this machine, made at its first start. Unless told how large, it keeps one browser warm while sessions are being used, and nothing when
 * nobody is there. Whoever removes that pool is not given it again.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'

export interface WarmPoolParts {
  url: string
  adminToken: string
  dataDir: string
  /** null: by this machine's memory. */
  size: number | null
  /** Bytes. */
  memory?: number
  fetch?: typeof fetch
}

/** A warm browser holds about 300 MB. */
const enoughMemory = 3 * 2 ** 30
const whileUsed = { idle_size: 0, idle_after_seconds: 10 }

export async function ensureWarmPool({ url, adminToken, dataDir, size, memory = totalmem(), fetch: ask = fetch }: WarmPoolParts) {
  const done = join(dataDir, 'warm-pool')
  const wanted = size ?? (memory >= enoughMemory ? 1 : 0)
  if (existsSync(done) || wanted === 0) return
  const answer = await ask(new URL('/v1/pools', url), {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      template: 'chromium',
      cluster: 'local',
      size: wanted,
      ...(size === null ? whileUsed : { idle_size: size }),
    }),
    signal: AbortSignal.timeout(15_000),
  })
  // A machine that can keep none warm (409) is no fault.
  if (!answer.ok && answer.status !== 409) throw new Error(`POST /v1/pools answered ${answer.status} ${await answer.text()}`)
  writeFileSync(done, '', { mode: 0o600 })
}
