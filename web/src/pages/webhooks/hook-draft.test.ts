import { expect, test } from 'vitest'
import { emptyWorks } from '../jobs/works-draft.ts'
import { emptyHook, formFaults, hookRequest, repositoryOf } from './hook-draft.ts'

const works = { ...emptyWorks, url: 'https://git.example/team/app.git', image: 'r.example/app' }

test('a hook is a build of what was pushed: no ref, no name of a job', () => {
  const { body, faults } = hookRequest({
    ...emptyHook,
    name: ' app ',
    branches: 'main, release/*',
    works: { ...works, ref: 'old', name: 'old' },
  })
  expect(faults.size).toBe(0)
  expect(body).toEqual({
    provider: 'github',
    name: 'app',
    branches: 'main,release/*',
    build: { git: { url: 'https://git.example/team/app.git' }, image: 'r.example/app' },
  })
})

test('what follows a build is sent only when it was asked for', () => {
  const filled = { ...works, mappings: 'web={image}', namespace: 'shop' }
  expect(hookRequest({ ...emptyHook, works: filled }).body).not.toHaveProperty('deploy')
  const { body, faults } = hookRequest({ ...emptyHook, works: filled, deploys: true, provider: 'gitlab', secret: 'x'.repeat(16) })
  expect(faults.size).toBe(0)
  expect(body).toMatchObject({
    provider: 'gitlab',
    secret: 'x'.repeat(16),
    deploy: { mappings: { web: '{image}' }, namespace: 'shop' },
  })
})

test.each([
  [{ works: emptyWorks }, ['git']],
  [{ works, branches: ' ' }, ['branches']],
  [{ works, secret: 'short' }, ['secret']],
  [{ works, deploys: true }, ['mappings']],
  [{ works: { ...works, image: '', mappings: 'a=b' }, deploys: true }, ['image']],
])('%o lacks %s', (over, fields) => {
  expect([...hookRequest({ ...emptyHook, ...over }).faults.keys()]).toEqual(fields)
})

test('faults of the build stand at its fields, and a repository has a short name', () => {
  expect([...formFaults(new Map([['build.git', 'No.']]))]).toEqual([['git', 'No.']])
  expect(repositoryOf({ git: { url: 'https://bot:x@git.example/team/app.git' } })).toBe('git.example/team/app')
  expect(repositoryOf({})).toBe('')
})
