/** A folder sent to a running Porthole and built on its machine: 12 MB, through the API and the agent's own connection, into an image. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { expect } from 'vitest'
import type { Installation } from './installation.ts'

export async function buildsWhatIsSent(porthole: Installation, skip: TestContext['skip']): Promise<void> {
  const archive = packed()
  const put = (body: Buffer) =>
    fetch(`${porthole.url}/v1/uploads/app`, { method: 'PUT', headers: porthole.headers, body: new Uint8Array(body) })
  expect((await put(Buffer.from('no archive'))).status).toBe(415)
  const sent = await put(archive)
  expect([sent.status, await sent.json()]).toEqual([201, expect.objectContaining({ name: 'app', bytes: archive.length })])
  const made = await porthole.api('POST', '/v1/jobs', { type: 'build', upload: 'app', timeout_seconds: 240 })
  if (made.status === 409 && /runs no jobs of type build/.test(made.body.detail)) skip(made.body.detail)
  expect([made.status, made.body.detail]).toEqual([201, undefined])
  const job = () => porthole.api('GET', `/v1/jobs/${made.body.id}`).then(({ body }) => body)
  await expect.poll(async () => (await job()).ended_at, { timeout: 240_000, interval: 500 }).not.toBeNull()
  const log = async () => (await porthole.api('GET', `/v1/jobs/${made.body.id}/logs`)).body as string
  const ended = await job()
  expect([ended.status, ended.status_reason, await log()]).toEqual([
    'succeeded',
    'It succeeded.',
    expect.stringContaining('COPY ballast /'),
  ])
  expect(ended.result).toMatchObject({
    context: createHash('sha256').update(archive).digest('hex'),
    images: [expect.stringMatching(/^localhost\/build:\d{8}-\d{6}-[0-9a-f]{7}$/)],
    dockerfile: { args: [{ name: 'WHO', default: 'anybody' }] },
  })
  expect((await porthole.api('DELETE', '/v1/uploads/app')).status).toBe(204)
}

function packed(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-sent-'))
  try {
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nARG WHO=anybody\nCOPY ballast /\n')
    writeFileSync(join(folder, 'ballast'), randomBytes(12 * 2 ** 20))
    return execFileSync('tar', ['-cz', '-C', folder, '.'], { maxBuffer: 2 ** 26 })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
