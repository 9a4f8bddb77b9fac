/** `run` jobs on a real cluster: exit codes, output, ends of every kind, and an agent that comes back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../../../deploy/testing/sessions-namespace.ts'
import { type JobAttempt, JobRefused, type JobRuntime } from '../../job-runtime.ts'
import { anAttempt, jobEnded, jobSeen, outputOf, shell } from '../../testing/job-watching.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from '../kubernetes-runtime.ts'
import { kubernetesSettings } from '../settings.ts'

let place: SessionsNamespace
let runtime: KubernetesRuntime
let jobs: JobRuntime
const image = 'busybox:local'
const open = () =>
  createKubernetesRuntime({
    settings: { ...kubernetesSettings(place.environment), selfTest: 'off', imagePullPolicy: 'Never' },
    config: place.config,
    inCluster: false,
    clock: systemClock,
    random: Math.random,
    log: createLog(() => {}),
  })

beforeAll(async () => {
  place = await sessionsNamespace()
  runtime = await open()
  jobs = runtime.jobs
})
afterAll(async () => {
  await runtime?.close()
  await place?.dispose()
})

async function run(line: string, more: Partial<JobAttempt> = {}, spec: object = {}) {
  const attempt = anAttempt(
    { image, command: shell(line), limits: { memory_bytes: 64 * 2 ** 20, cpu_millis: 500 }, ...spec },
    more,
  )
  await jobs.start(attempt)
  return attempt
}

describe('run as a pod', () => {
  test('exit code 3, its output byte for byte, its secret in the environment; removed without a trace', async () => {
    const line = 'exec 2>&1; printf "hello %s\\000\\377\\n" "$NAME"; echo to stderr >&2; echo $HOME; id -u; exit 3'
    const before = Date.now()
    const attempt = await run(line, { secrets: { who: 'world' } }, { secret_env: { NAME: 'who' } })
    await jobs.start(attempt)
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'exit', exitCode: 3, attempt: 1, job: attempt.job })
    // The cluster's clock counts whole seconds.
    expect(ended.startedAt).toBeGreaterThan(before - 5_000)
    const { bytes, gaps } = await outputOf(jobs, ended)
    expect(bytes.toString('latin1')).toBe('hello world\0\xff\nto stderr\n/home/porthole\n1000\n')
    expect(gaps).toBe(0)
    expect((await outputOf(jobs, ended, 6)).bytes.toString('latin1')).toBe(bytes.subarray(6).toString('latin1'))
    await jobs.remove(attempt.name, ended.uid)
    expect(await jobs.observe()).toEqual([])
    await place.untilGone()
  })

  test('canceled: politely, and its last words are kept', async () => {
    const attempt = await run('trap "echo told; exit 0" TERM; echo up; while :; do sleep 0.1; done')
    const running = await jobSeen(jobs, attempt.name, each => each.phase === 'running', 240_000)
    await jobs.cancel(attempt.name, running.uid, 5_000)
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    expect(ended).toMatchObject({ outcome: 'canceled', cause: 'canceled' })
    expect((await outputOf(jobs, ended)).bytes.toString()).toContain('up')
    await jobs.remove(attempt.name, ended.uid)
  })

  test('its deadline is the kubelet’s, and the agent of the next life tells of it', async () => {
    const attempt = await run('echo begun; sleep 600', { timeoutMs: 12_000, graceMs: 1_000 })
    // On a slow machine the deadline may come before anybody looked.
    await jobSeen(jobs, attempt.name, each => each.phase !== 'starting', 240_000)
    await runtime.close()
    runtime = await open()
    jobs = runtime.jobs
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'deadline', reason: 'It ran longer than its 12 s.' })
    await jobs.remove(attempt.name, ended.uid)
  })

  test('what can never run ends with the reason, and what no node takes can be canceled', async () => {
    const nowhere = await run('true', {}, { image: 'nowhere.invalid/none:1' })
    const vast = await run('true', {}, { requests: { cpu_millis: 900_000 }, limits: { cpu_millis: 900_000 } }).catch(
      error => error,
    )
    const ended = await jobEnded(jobs, nowhere.name, 240_000)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'start', reason: expect.stringContaining('not on the node') })
    await jobs.remove(nowhere.name, ended.uid)
    if (!(vast instanceof Error)) {
      const waiting = await jobSeen(jobs, vast.name, each => /no node/.test(each.reason ?? ''), 240_000)
      await jobs.cancel(vast.name, waiting.uid, 0)
      expect(await jobEnded(jobs, vast.name, 240_000)).toMatchObject({ outcome: 'canceled' })
      await jobs.remove(vast.name, waiting.uid)
    } else expect(vast).toBeInstanceOf(JobRefused)
    await expect(jobs.start(anAttempt({ command: ['true'] }))).rejects.toThrow(JobRefused)
  })

  test('more memory than it may', async () => {
    const attempt = await run('tail /dev/zero')
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'out_of_memory' })
    await jobs.remove(attempt.name, ended.uid)
  })

  test('8 MB of output: every byte is there or in a gap', async () => {
    const attempt = await run('yes $(printf "x%.0s" $(seq 1 999)) | head -n 8000; echo the end')
    await jobSeen(jobs, attempt.name, each => each.phase !== 'starting', 240_000)
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    const { bytes, end } = await outputOf(jobs, ended)
    expect(end).toBe(8_000 * 1_000 + 8)
    expect(bytes.subarray(-8).toString()).toBe('the end\n')
    await jobs.remove(attempt.name, ended.uid)
  })
})
