import { expect, test } from 'vitest'
import type { Cluster } from '../../api/contract.ts'
import { clusterWord, nameFault } from './cluster-words.ts'

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
