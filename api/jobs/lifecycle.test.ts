import { describe, expect, it } from 'vitest'
import { finalJobStatuses, isFinalJob, type JobEvent, jobEvents, jobLifecycle, jobStatuses } from './lifecycle.ts'

describe('the life of a job', () => {
  it('final statuses are left by a retry and by nothing else', () => {
    for (const status of finalJobStatuses)
      for (const event of jobEvents) {
        const cell = jobLifecycle[status][event]
        if (event === 'retry') expect(cell).toBe('queued')
        else expect([status, event, ['same', 'illegal'].includes(cell)]).toEqual([status, event, true])
      }
  })

  it('what is seen a second time changes nothing, what contradicts it is ignored', () => {
    const said = { succeeded: 'seen_succeeded', failed: 'seen_failed', canceled: 'seen_canceled' } as const
    for (const [status, own] of Object.entries(said) as [keyof typeof said, JobEvent][])
      for (const event of Object.values(said)) expect(jobLifecycle[status][event]).toBe(event === own ? 'same' : 'illegal')
  })

  it('every end can be reached from queued (an end may be the first that is heard) and from running', () => {
    for (const from of ['queued', 'running'] as const)
      for (const end of finalJobStatuses) expect(jobLifecycle[from][`seen_${end}`]).toBe(end)
  })

  it('no walk of events leaves the table or an end without a retry', () => {
    let random = 7
    const next = () => (random = (random * 48_271) % 2_147_483_647)
    for (let walk = 0; walk < 300; walk++) {
      let status = jobStatuses[next() % jobStatuses.length]!
      for (let step = 0; step < 40; step++) {
        const event = jobEvents[next() % jobEvents.length]!
        const cell = jobLifecycle[status][event]
        if (cell === 'same' || cell === 'illegal') continue
        if (isFinalJob(status)) expect(event).toBe('retry')
        status = cell
      }
    }
  })
})
