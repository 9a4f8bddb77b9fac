import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ensureWarmPool } from './warm-pool.ts'

let dataDir: string
let asked: unknown[]
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'warm-'))
  asked = []
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const ensure = (change: { size?: number | null; memory?: number; status?: number } = {}) => {
  const { size = null, memory = 8 * 2 ** 30, status = 201 } = change
  const ask = async (_: unknown, request?: RequestInit) => {
    asked.push(JSON.parse(String(request!.body)))
    return new Response('{}', { status })
  }
  return ensureWarmPool({ url: 'http://api.test', adminToken: 't', dataDir, size, memory, fetch: ask as typeof fetch })
}

it('is made once, and not again after somebody removed it', async () => {
  await ensure()
  await ensure()
  expect(asked).toEqual([{ template: 'chromium', cluster: 'local', size: 1, idle_size: 0, idle_after_seconds: 10 }])
})

it('is as large as asked, none where memory is short or nobody wants one', async () => {
  await ensure({ size: 0 })
  await ensure({ memory: 2 ** 30 })
  expect(asked).toEqual([])
  await ensure({ size: 4, memory: 2 ** 30 })
  expect(asked).toEqual([{ template: 'chromium', cluster: 'local', size: 4, idle_size: 4 }])
})

it('a fault is told and tried again at the next start', async () => {
  await expect(ensure({ status: 503 })).rejects.toThrow('503')
  await ensure({ status: 409 })
  await ensure()
  expect(asked).toHaveLength(2)
})
