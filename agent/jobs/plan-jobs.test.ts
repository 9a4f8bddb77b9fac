import { describe, expect, test } from 'vitest'
import { attemptName, type DesiredJob } from '#protocol/job-spec.ts'
import type { JobInstance } from '../runtimes/job-runtime.ts'
import { anAttempt } from '../runtimes/testing/job-watching.ts'
import { observedJob } from './observed-job.ts'
import { planJobs } from './plan-jobs.ts'

const wanted = (more: Partial<DesiredJob> = {}): DesiredJob => ({
  id: 'job_a',
  attempt: 1,
  state: 'running',
  seen: false,
  project: 'p',
  user: 'u',
  labels: {},
  spec: anAttempt({ command: ['true'] }).spec,
  timeout_ms: 60_000,
  grace_ms: 1_000,
  ...more,
})
const there = (phase: JobInstance['phase'], attempt = 1, job = 'job_a'): JobInstance => ({
  job,
  attempt,
  type: 'run',
  name: attemptName(job, attempt),
  uid: `u${attempt}`,
  phase,
  exitCode: null,
  startedAt: null,
  endedAt: null,
  progress: null,
  resources: [],
  result: null,
  streams: [''],
})
const plan = (jobs: DesiredJob[], instances: JobInstance[], more: Partial<Parameters<typeof planJobs>[0]> = {}) =>
  planJobs({
    wanted: new Map(jobs.map(job => [job.id, job])),
    instances,
    isGarbage: () => false,
    settled: () => false,
    undone: () => false,
    allowMassDelete: false,
    ...more,
  })
const steps = (...args: Parameters<typeof plan>) =>
  plan(...args).actions.map(action => `${action.do} ${'name' in action ? action.name : action.job}`)

describe('what to do about a job', () => {
  test.each<[string, DesiredJob, JobInstance[], string[]]>([
    ['nothing of it: begin', wanted(), [], ['start job-a-a1']],
    ['it was heard of: never again', wanted({ seen: true }), [], []],
    ['it is there', wanted(), [there('running')], []],
    ['it has ended, the API not yet told', wanted(), [there('ended')], []],
    ['an older attempt is there: it goes first', wanted({ attempt: 2 }), [there('ended', 1)], ['remove job-a-a1']],
    ['an older attempt runs: it is ended first', wanted({ attempt: 2 }), [there('running', 1)], ['cancel job-a-a1']],
    ['to be ended', wanted({ state: 'canceled' }), [there('running')], ['cancel job-a-a1']],
    ['to be ended, but it has', wanted({ state: 'canceled' }), [there('ended')], []],
    ['to be ended, before it was begun', wanted({ state: 'canceled' }), [], []],
    ['let go of', wanted({ state: 'finished' }), [there('ended')], ['remove job-a-a1']],
    ['to be deleted while it runs', wanted({ state: 'deleted' }), [there('running')], ['cancel job-a-a1']],
    ['nobody wants it', wanted({ id: 'job_b' }), [there('running')], ['start job-b-a1']],
  ])('%s', (_, job, instances, expected) => {
    expect(steps([job], instances)).toEqual(expected)
  })

  test('what was refused or seen by this life is not begun', () => {
    expect(steps([wanted()], [], { settled: () => true })).toEqual([])
  })

  test('garbage goes, but not most of what runs at once', () => {
    const all = Array.from({ length: 12 }, (_, n) => there('running', 1, `job_${n}`))
    expect(plan([], all.slice(0, 5), { isGarbage: () => true })).toMatchObject({ brake: null, actions: { length: 5 } })
    expect(plan([], all, { isGarbage: () => true })).toMatchObject({ brake: expect.stringContaining('12 of 12'), actions: [] })
    expect(plan([], all, { isGarbage: () => true, allowMassDelete: true }).actions).toHaveLength(12)
  })
})

describe('what is told of a job', () => {
  const tell = (job: DesiredJob, instances: JobInstance[], more: Partial<Parameters<typeof observedJob>[0]> = {}) =>
    observedJob({ wanted: job, instances, refused: null, log: 'taken', undone: false, known: false, ...more }, 10_000)?.item ??
    null

  test.each<[string, ReturnType<typeof tell>, object]>([
    [
      'refused',
      tell(wanted(), [], { refused: { cause: 'refused', reason: 'no' } }),
      { phase: 'ended', outcome: 'failed', cause: 'refused' },
    ],
    ['vanished, as the API knows', tell(wanted({ seen: true }), []), { phase: 'ended', cause: 'lost' }],
    ['vanished, as we know', tell(wanted(), [], { known: true }), { phase: 'ended', cause: 'lost' }],
    ['canceled and gone', tell(wanted({ state: 'canceled', seen: true }), []), { outcome: 'canceled' }],
    [
      'ended, its output on the way',
      tell(wanted(), [there('ended')], { log: 'pending' }),
      { phase: 'running', log_complete: false },
    ],
    ['ended, its output late', tell(wanted(), [there('ended')], { log: 'late' }), { phase: 'ended', log_complete: false }],
    [
      'ended',
      tell(wanted(), [{ ...there('ended'), outcome: 'succeeded', exitCode: 0 }]),
      { phase: 'ended', outcome: 'succeeded', log_complete: true },
    ],
    ['let go of, not gone yet', tell(wanted({ state: 'finished' }), [there('ended')]), { phase: 'stopping' }],
    ['gone', tell(wanted({ state: 'finished' }), []), { phase: 'absent' }],
  ])('%s', (_, item, expected) => {
    expect(item).toMatchObject(expected)
  })

  // What is told is begun for the API: an agent that was killed before it had made it would have lost it.
  test('nothing before it exists', () => {
    expect(tell(wanted(), [])).toBeNull()
    expect(tell(wanted(), [there('starting')])).toMatchObject({ phase: 'starting' })
  })
})
