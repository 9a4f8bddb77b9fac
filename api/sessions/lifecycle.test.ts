import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SessionStatus } from '#db/schema.ts'
import { finalStatuses, isFinal, lifecycle, lifecycleEvents, movedBy, sessionStatuses } from './lifecycle.ts'

describe('the lifecycle table', () => {
  it('is total', () => {
    for (const status of sessionStatuses) expect(Object.keys(lifecycle[status]).sort()).toEqual([...lifecycleEvents].sort())
  })

  it('lets nothing an agent sees move a final session', () => {
    for (const status of finalStatuses) {
      for (const event of lifecycleEvents.filter(word => word.startsWith('seen_'))) {
        expect(['same', 'illegal']).toContain(lifecycle[status][event])
      }
    }
  })

  it('lets only start and restart leave stopped, and nothing leave failed or expired', () => {
    const leaving = (status: SessionStatus) =>
      lifecycleEvents.filter(event => !['same', 'illegal'].includes(lifecycle[status][event]))
    expect(leaving('stopped')).toEqual(['start', 'restart'])
    expect(leaving('failed')).toEqual([])
    expect(leaving('expired')).toEqual([])
  })

  it('gives the WHERE of each event', () => {
    expect(movedBy('placed')).toEqual(['queued'])
    expect(movedBy('seen_running')).toEqual(['starting'])
    expect(movedBy('seen_failed')).toEqual(['starting', 'running', 'stopping'])
  })

  it('from any walk of events, a stop and what the agent then sees ends it', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...lifecycleEvents)), walk => {
        let status: SessionStatus = 'queued'
        const step = (event: (typeof lifecycleEvents)[number]) => {
          const cell = lifecycle[status][event]
          if (cell !== 'same' && cell !== 'illegal') status = cell
        }
        for (const event of walk) step(event)
        step('stop')
        step('seen_stopped')
        expect(isFinal(status)).toBe(true)
      }),
    )
  })
})
