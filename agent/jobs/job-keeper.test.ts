/** The keeper's loop with a runtime that is told what to show: how often it asks, and what it must not do. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { attemptName, type DesiredJob } from '#protocol/job-spec.ts'
import { createLog } from '../log.ts'
import { defaultPolicy } from '../policy.ts'
import type { JobInstance, JobRuntime } from '../runtimes/job-runtime.ts'
import { anAttempt } from '../runtimes/testing/job-watching.ts'
import type { DesiredState } from '../sessions/desired-state.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import type { ContextCourier } from './context-courier.ts'
import { JobKeeper } from './job-keeper.ts'
import type { LogShipper } from './log-shipper.ts'

const wanted = (state: DesiredJob['state']): DesiredJob => ({
  id: 'job_a',
  attempt: 1,
  state,
  seen: true,
  project: 'p',
  user: 'u',
  labels: {},
  spec: anAttempt({ command: ['true'] }).spec,
  timeout_ms: 60_000,
  grace_ms: 1_000,
})
const shown = (phase: JobInstance['phase']): JobInstance => ({
  ...{ job: 'job_a', attempt: 1, type: 'run', name: attemptName('job_a', 1), uid: 'u1', phase },
  ...{ exitCode: null, startedAt: null, endedAt: null, progress: null, resources: [], result: null, streams: [''] },
})

let clock: FakeClock
let calls: string[]
let looks: number
let phase: JobInstance['phase']
let over: string[]
let wake: () => void
let stop: AbortController
let running: Promise<void>
let desired: { complete: boolean; jobs: Map<string, DesiredJob>; isGarbage: () => boolean }

beforeEach(() => {
  clock = new FakeClock()
  calls = []
  over = []
  looks = 0
  phase = 'running'
  stop = new AbortController()
  desired = { complete: true, jobs: new Map([['job_a', wanted('running')]]), isGarbage: () => false }
  const runtime: Partial<JobRuntime> = {
    async observe() {
      looks++
      return phase === 'ended' && calls.includes('remove') ? [] : [shown(phase)]
    },
    watch(run) {
      wake = run
      return () => {}
    },
    async cancel() {
      calls.push('cancel')
      phase = 'stopping'
    },
    async remove() {
      calls.push('remove')
    },
  }
  const keeper = new JobKeeper({
    runtime: runtime as JobRuntime,
    desired: desired as unknown as DesiredState,
    courier: { follow: () => {}, close: async () => {} } as unknown as ContextCourier,
    shipper: { follow: () => {}, taken: () => true, close: async () => {} } as unknown as LogShipper,
    policy: defaultPolicy,
    clock,
    log: createLog(() => {}),
    changed: () => {},
    over: job => over.push(job),
  })
  running = keeper.run(stop.signal)
})
afterEach(async () => {
  stop.abort()
  await running
})

describe('what was told to end', () => {
  test('is told again only after a while, however long it takes; its end is acted on at once', async () => {
    await clock.advance(0)
    desired.jobs.set('job_a', wanted('canceled'))
    wake()
    await clock.advance(0)
    expect(calls).toEqual(['cancel'])
    const before = looks
    for (let turn = 0; turn < 20; turn++) await clock.advance(100)
    expect(calls).toEqual(['cancel'])
    expect(looks - before).toBeLessThan(5)
    await clock.advance(1_500)
    expect(calls).toEqual(['cancel', 'cancel'])
    phase = 'ended'
    desired.jobs.set('job_a', wanted('finished'))
    wake()
    await clock.advance(0)
    expect(calls).toEqual(['cancel', 'cancel', 'remove'])
    expect(over).toEqual(['job_a'])
  })
})
