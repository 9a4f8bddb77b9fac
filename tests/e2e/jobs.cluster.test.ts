/**
 * Jobs on a real cluster, through the API: the agent outside of it with the rights of its own ServiceAccount, pods as jobs, and an agent that is
 * killed while they run. The image is `PORTHOLE_TEST_JOB_IMAGE` (default `busybox:local`) and must be on the node.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type SessionsNamespace, sessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'

const root = resolve(import.meta.dirname, '../..')
const image = process.env.PORTHOLE_TEST_JOB_IMAGE ?? 'busybox:local'
const folder = mkdtempSync(join(tmpdir(), 'porthole-jobs-'))
let porthole: ApiProgram
let place: SessionsNamespace
let agent: ChildProcess
let environment: Record<string, string>

function raise(): void {
  agent = spawn(process.execPath, [join(root, 'agent/main.ts')], {
    cwd: root,
    env: { PATH: process.env.PATH, ...environment },
    stdio: 'ignore',
  })
}

beforeAll(async () => {
  porthole = await startApiProgram('127.0.0.1')
  place = await sessionsNamespace()
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, place.config.exportConfig(), { mode: 0o600 })
  const made = await porthole.api('POST', '/v1/clusters', { name: 'real' })
  environment = {
    ...place.environment,
    PORTHOLE_RUNTIME: 'kubernetes',
    PORTHOLE_URL: porthole.url,
    PORTHOLE_JOIN_TOKEN: made.body.enrollment.token,
    PORTHOLE_IMAGE_PULL_POLICY: 'Never',
    PORTHOLE_SELF_TEST: 'off',
    PORTHOLE_ALLOWED_IMAGES: '',
    PORTHOLE_HEALTH_PORT: '',
    KUBECONFIG: kubeconfig,
    DATA_DIR: folder,
  }
  raise()
  await porthole.eventually(`/v1/clusters/${made.body.id}`, found => found.status === 'online', 240)
})
afterAll(async () => {
  agent?.kill('SIGTERM')
  if (agent) await once(agent, 'exit')
  await place?.dispose()
  await porthole?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const create = async (body: object, headers: Record<string, string> = {}) =>
  (await porthole.api('POST', '/v1/jobs', { type: 'run', image, resources: { cpu: '500m', memory: '64Mi' }, ...body }, headers))
    .body
const over = (id: string) =>
  porthole.eventually(`/v1/jobs/${id}`, job => ['succeeded', 'failed', 'canceled'].includes(job.status), 300)
const log = async (id: string) => (await porthole.api('GET', `/v1/jobs/${id}/logs`)).body as string

it('exit code 3, with its log; a secret that it prints is not shown', async () => {
  await porthole.api('POST', '/v1/secrets', { name: 'who', value: 'rumpelstiltskin' })
  const job = await create({ command: 'echo "hello $WHO"; exit 3', secret_env: { WHO: 'who' } }, { prefer: 'wait=60' })
  expect(job).toMatchObject({ status: 'failed', cause: 'exit', exit_code: 3, attempt: 1 })
  expect(await log(job.id)).toBe('hello ***************\n')
  const again = await porthole.api('POST', `/v1/jobs/${job.id}/retry`, {})
  expect(again.body).toMatchObject({ attempt: 2, status: 'queued', attempts: [{ exit_code: 3 }] })
  expect(await over(job.id)).toMatchObject({ attempt: 2, status: 'failed', exit_code: 3 })
})

it('goes on while its agent is killed, and its log has neither hole nor repetition', async () => {
  const job = await create({ command: 'for i in $(seq 1 150); do echo tick $i; sleep 0.1; done; exit 7' })
  await porthole.eventually(`/v1/jobs/${job.id}`, found => found.status === 'running', 240)
  for (let kill = 0; kill < 2; kill++) {
    await delay(3_000)
    agent.kill('SIGKILL')
    await once(agent, 'exit')
    raise()
  }
  expect(await over(job.id)).toMatchObject({ status: 'failed', exit_code: 7, attempt: 1 })
  expect(await log(job.id)).toBe(Array.from({ length: 150 }, (_, n) => `tick ${n + 1}\n`).join(''))
})

it('is canceled for certain, and nothing of any job is left', async () => {
  const job = await create({ command: 'trap "" TERM; echo up; while :; do sleep 1; done', grace_seconds: 1 })
  await porthole.eventually(`/v1/jobs/${job.id}`, found => found.status === 'running', 240)
  expect((await porthole.api('POST', `/v1/jobs/${job.id}/cancel`, {})).body.canceling).toBe(true)
  expect(await over(job.id)).toMatchObject({ status: 'canceled', cause: 'canceled' })
  await place.untilGone()
})
