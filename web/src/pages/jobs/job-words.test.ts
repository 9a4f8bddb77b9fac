import { expect, test } from 'vitest'
import { askedFor, jobTitle } from './job-words.ts'

test('what was asked for stands there as it was written, without what was not', () => {
  const spec = {
    command: ['/bin/sh', '-c', 'make test\nmake \x1b[31mlint'],
    env: {},
    limits: { cpu: null },
    image: 'r.example/tools:1',
    push: false,
    egress: { mode: 'public', allow: [] },
  }
  expect(askedFor(spec)).toBe(
    'make test\nmake lint\n\n{\n  "image": "r.example/tools:1",\n  "egress": {\n    "mode": "public",\n    "allow": []\n  }\n}',
  )
  expect(askedFor({ command: ['node', 'a.js'] })).toBe('node a.js')
  expect(askedFor({})).toBe('')
})

test('a job is called by its name, its repository or its command', () => {
  const job = { id: 'job_1', name: null, type: 'run' as const }
  expect(jobTitle({ ...job, name: ' nightly \u202e', spec: {} })).toBe('nightly')
  expect(jobTitle({ ...job, type: 'build', spec: { source: { url: 'https://bot@git.example/a/b.git' } } })).toBe(
    'git.example/a/b',
  )
  const sent = { source: { url: '', upload: { id: 'upl_1', bytes: 1 } } }
  expect(jobTitle({ ...job, type: 'build', spec: sent })).toBe('Files that were sent')
  expect(jobTitle({ ...job, spec: { command: ['/bin/sh', '-c', 'make'] } })).toBe('make')
  expect(jobTitle({ ...job, spec: {} })).toBe('job_1')
})
