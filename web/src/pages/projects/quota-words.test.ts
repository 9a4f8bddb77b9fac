import { expect, test } from 'vitest'
import { draftOf, quotaRequest, useLines } from './quota-words.ts'

const none = {
  max_sessions: null,
  max_cpu: null,
  max_memory: null,
  max_storage: null,
  max_jobs: null,
  requests_per_minute: null,
  max_streams: null,
  max_sessions_per_user: null,
  max_streams_per_user: null,
}
const some = { ...none, max_sessions: 5, max_memory: '8Gi' }

test('only what was changed is sent, and an empty field lifts its limit', () => {
  expect(quotaRequest(draftOf(some), some).body).toEqual({})
  expect(quotaRequest({ ...draftOf(some), max_sessions: '', max_cpu: ' 2 ', max_memory: '8Gi' }, some).body).toEqual({
    max_sessions: null,
    max_cpu: '2',
  })
  expect(quotaRequest({ ...draftOf(null), max_jobs: '0' }, null).body).toEqual({ max_jobs: 0 })
})

test.each([
  ['max_sessions', '-1'],
  ['max_sessions', '1.5'],
  ['max_sessions', 'many'],
  ['max_jobs', '99999999'],
  ['max_memory', '8 gigs'],
  ['max_cpu', '-2'],
])('%s: %s is a fault', (key, text) => {
  expect([...quotaRequest({ ...draftOf(null), [key]: text }, null).faults.keys()]).toEqual([key])
})

test('use beside its limit, in the same unit', () => {
  const lines = useLines(some, { sessions: 2, cpu: '1500m', memory: '2Gi', storage: '0', jobs: 1, streams: 4 })
  expect(
    lines.map(line => line.used !== null && `${line.show(line.used)} / ${line.limit === null ? '-' : line.show(line.limit)}`),
  ).toEqual(['2 / 5', '1.5 cores / -', '2 GiB / 8 GiB', '0 B / -', '1 / -'])
})
