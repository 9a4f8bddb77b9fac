import { expect, test } from 'vitest'
import { uploadName } from './upload-field.tsx'
import { changesOf, emptyWorks, type WorkType, workRequest } from './works-draft.ts'

test('a manifest goes as it was written, first to look', () => {
  const draft = { ...emptyWorks, yaml: 'a: 1\n', set: 'shop', namespace: 'x', cluster: 'clu_1' }
  expect(workRequest('manifest', draft, true)).toEqual({
    body: { type: 'manifest', yaml: 'a: 1\n', set: 'shop', namespace: 'x', cluster: 'clu_1', dry_run: true },
    faults: new Map(),
  })
  expect(workRequest('manifest', draft, false).body).not.toHaveProperty('dry_run')
})

test('services and their images, one a line', () => {
  const { body, faults } = workRequest(
    'deploy',
    { ...emptyWorks, mappings: 'web = r.example/web:1\n\nstatefulset/db=pg:16' },
    false,
  )
  expect(body).toEqual({ type: 'deploy', mappings: { web: 'r.example/web:1', 'statefulset/db': 'pg:16' } })
  expect(faults.size).toBe(0)
})

test('a build of what was sent names that and no repository', () => {
  const draft = { ...emptyWorks, url: 'https://git.example/a.git', upload: 'upl_1', ref: 'main' }
  expect(workRequest('build', draft, false)).toEqual({ body: { type: 'build', upload: 'upl_1' }, faults: new Map() })
  expect(['My App.tar.gz', '..tgz', 'a'.repeat(80)].map(uploadName)).toEqual(['my-app', 'files', 'a'.repeat(63)])
})

test('a build: a repository, and what else was said', () => {
  const draft = {
    ...emptyWorks,
    url: ' https://git.example/a.git ',
    image: 'r.example/a',
    tags: '1.0, latest',
    args: 'V=1=2',
    secret: 'tok',
  }
  expect(workRequest('build', draft, false).body).toEqual({
    type: 'build',
    git: { url: 'https://git.example/a.git', secret: 'tok' },
    image: 'r.example/a',
    tags: ['1.0', 'latest'],
    build_args: { V: '1=2' },
  })
})

test.each([
  ['manifest', {}, 'yaml'],
  ['deploy', {}, 'mappings'],
  ['deploy', { mappings: 'web' }, 'mappings'],
  ['deploy', { mappings: '=x' }, 'mappings'],
  ['build', {}, 'git'],
  ['build', { url: 'x', args: 'A' }, 'build_args'],
] as const)('%s with %o lacks %s', (type, draft, field) => {
  expect([...workRequest(type as WorkType, { ...emptyWorks, ...draft }, false).faults.keys()]).toEqual([field])
})

test('what would change, whoever tells it, and nothing of what tells nothing', () => {
  expect(changesOf({ changes: [{ kind: 'Job', name: 'a', change: 'create', diff: '+x' }] })).toEqual([
    { kind: 'Job', name: 'a', change: 'create', diff: '+x' },
  ])
  const [web, db] = changesOf({
    services: [
      { kind: 'Deployment', name: 'web', before: { web: 'a:1' }, after: { web: 'a:2' } },
      { kind: 'StatefulSet', name: 'db', before: { db: 'p:1' }, after: { db: 'p:1' } },
    ],
  })
  expect([web?.change, web?.diff, db?.change]).toEqual(['update', '  web:\n-   a:1\n+   a:2', 'unchanged'])
  expect([changesOf(null), changesOf({ changes: 'many' }), changesOf({ changes: [{}] })]).toEqual([
    [],
    [],
    [{ kind: '', name: '', change: '', diff: '' }],
  ])
})
