/** An agent whose API checks nothing: every violation of the table is refused with its place before the cluster is asked anything. */
import { describe, expect, it } from 'vitest'
import { violations } from '#protocol/manifest/testing/violations.ts'
import type { ManifestSpec } from '#protocol/works-spec.ts'
import { manifestTask } from './manifest-task.ts'
import type { PlaceObjects } from './place-objects.ts'
import { type TaskContext, TaskFailed } from './task.ts'

const place = { project: '*', namespace: 'team', serviceAccount: 'tenant' }
/** Whatever is asked of the cluster is a failure. */
const objects = new Proxy({ place } as PlaceObjects, {
  get: (target, field) => {
    if (field === 'place') return target.place
    throw new Error(`the cluster was asked: ${String(field)}`)
  },
})
const context = {
  job: 'job_a',
  project: 'prj_a',
  agent: 'a',
  objects,
  log: () => {},
  progress: () => {},
} as unknown as TaskContext
const spec = { type: 'manifest', action: 'apply', set: null, dry_run: false, prune: true, wait: true } as const
const refusal = (yaml: string, part: Partial<ManifestSpec> = {}) =>
  manifestTask({ ...spec, yaml, ...part }, context).then(
    () => null,
    (error: unknown) => error,
  )

describe('refused by the agent itself', () => {
  it('there are enough of them', () => {
    expect(violations.length).toBeGreaterThanOrEqual(80)
    expect(new Set(violations.map(({ name }) => name)).size).toBe(violations.length)
  })

  it.each(violations)('$name', async ({ text, pointer }) => {
    const error = await refusal(text)
    expect(error).toBeInstanceOf(TaskFailed)
    const { errors } = (error as TaskFailed).result as { errors: { pointer: string }[] }
    expect(errors.map(fault => fault.pointer)).toContain(pointer)
    expect(await refusal(text, { dry_run: true })).toBeInstanceOf(TaskFailed)
    expect(await refusal(text, { action: 'delete' })).toBeInstanceOf(TaskFailed)
  })
})
