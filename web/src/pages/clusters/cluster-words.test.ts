import { expect, test } from 'vitest'
import type { Cluster } from '../../api/contract.ts'
import { clusterWord, nameFault, share } from './cluster-words.ts'

test.each([
  ['pending', 'open', 'Waiting for its agent'],
  ['online', 'open', 'Online'],
  ['online', 'cordoned', 'Cordoned'],
  ['online', 'draining', 'Draining'],
  // That it is out of reach matters more than what it was told to do.
  ['offline', 'draining', 'Offline'],
  ['upgrading', 'open', 'upgrading'],
] as const)('%s and %s is %s', (status, scheduling, word) => {
  expect(clusterWord({ status: status as Cluster['status'], scheduling }).word).toBe(word)
})

test('a share needs something to compare with', () => {
  expect([share(3, 12), share(20, 10), share(null, 10), share(3, null), share(3, 0), share(0, 5)]).toEqual([
    0.25,
    1,
    null,
    null,
    null,
    0,
  ])
})

test.each([
  ['eu-1', null],
  ['a', null],
  ['', 'Give it a name.'],
  ['EU', 'Lower-case letters, digits and dashes, up to 63.'],
  ['-x', 'Lower-case letters, digits and dashes, up to 63.'],
  ['x'.repeat(64), 'Lower-case letters, digits and dashes, up to 63.'],
])('name %s', (name, fault) => {
  expect(nameFault(name)).toBe(fault)
})
