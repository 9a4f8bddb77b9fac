import { expect, test } from 'vitest'
import { emptyRun, runRequest } from './run-draft.ts'

test('the least that can be asked for', () => {
  expect(runRequest({ ...emptyRun, command: ' make ' })).toEqual({ body: { type: 'run', command: 'make' }, faults: new Map() })
  expect([...runRequest(emptyRun).faults.keys()]).toEqual(['command'])
})

test('everything', () => {
  const { body, faults } = runRequest({
    name: 'nightly',
    image: 'debian:12',
    command: 'make\nmake test',
    env: 'A=1\nB= x ',
    secrets: 'TOKEN=ci-token',
    cpu: '500m',
    memory: '1Gi',
    cluster: 'clu_1',
    timeout: '1.5',
    attempts: '3',
  })
  expect(faults.size).toBe(0)
  expect(body).toEqual({
    type: 'run',
    name: 'nightly',
    image: 'debian:12',
    command: 'make\nmake test',
    env: { A: '1', B: ' x ' },
    secret_env: { TOKEN: 'ci-token' },
    resources: { cpu: '500m', memory: '1Gi' },
    cluster: 'clu_1',
    timeout_seconds: 90,
    max_attempts: 3,
  })
})

test.each(['0', '-1', 'x', '99999'])('%s minutes are a fault', timeout => {
  expect(runRequest({ ...emptyRun, command: 'x', timeout }).faults.has('timeout_seconds')).toBe(true)
})

test.each([
  ['env', 'env'],
  ['secrets', 'secret_env'],
] as const)('a line of %s without = is a fault', (key, field) => {
  expect(runRequest({ ...emptyRun, command: 'x', [key]: 'oops' }).faults.has(field)).toBe(true)
})
