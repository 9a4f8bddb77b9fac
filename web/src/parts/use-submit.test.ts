import { expect, test } from 'vitest'
import { ApiError } from '../api/api-error.ts'
import { sortFaults } from './use-submit.ts'

const refused = (...errors: { pointer: string; detail: string }[]) =>
  new ApiError({ title: 'Invalid', status: 422, code: 'invalid', detail: 'No.', errors })

test('a fault stands at the nearest field that is shown, the rest is told as one', () => {
  const { faults, refusal } = sortFaults(
    refused(
      { pointer: '#/host', detail: 'Must be a host.' },
      { pointer: '#/build/git/url', detail: 'Is no URL.' },
      { pointer: '#/build/labels/a~1b', detail: 'Too long.' },
      { pointer: '', detail: 'Too much of it.' },
    ),
    ['host', 'build.git'],
  )
  expect([...faults]).toEqual([
    ['host', 'Must be a host.'],
    ['build.git', 'url: Is no URL.'],
  ])
  expect(refusal).toBe('build.labels.a/b: Too long. · Too much of it.')
})

test('two faults of one field stand beside each other, and what names none is a refusal', () => {
  const twice = refused({ pointer: '/tags/0', detail: 'No tag.' }, { pointer: '/tags/2', detail: 'No tag.' })
  expect([...sortFaults(twice, ['tags']).faults]).toEqual([['tags', '0: No tag. · 2: No tag.']])
  expect(sortFaults(new Error('It broke.'), ['tags'])).toEqual({ faults: new Map(), refusal: 'It broke.' })
})
