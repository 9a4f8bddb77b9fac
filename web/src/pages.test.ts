import { expect, test } from 'vitest'
import { findPage, pages, scopeOf } from './pages.tsx'

test.each([
  ['/', '/sessions', ''],
  ['/sessions', '/sessions', ''],
  ['/sessions/', '/sessions', ''],
  ['/sessions/ses_1', '/sessions/:id', 'ses_1'],
  ['/sessions/a%20b', '/sessions/:id', 'a b'],
  ['/sessions/%E0%A4%A', '/sessions/:id', '%E0%A4%A'],
  ['/wall', '/wall', ''],
  ['/clusters', '/clusters', ''],
  ['/tokens', '/tokens', ''],
  ['/audit', '/audit', ''],
  ['/projects', '/projects', ''],
  ['/pools', '/pools', ''],
  ['/webhooks', '/webhooks', ''],
])('%s is %s', (path, page, id) => {
  const found = findPage(path)
  expect([found?.page.path, found?.id]).toEqual([page, id])
})

test.each(['/tokens/tok_1', '/sessions/ses_1/vnc.html', '/nowhere', '/vnc.html'])('%s is no page', path => {
  expect(findPage(path)).toBeNull()
})

test('every entry has its own address, and belongs to one that is in the navigation', () => {
  expect(new Set(pages.map(page => page.path)).size).toBe(pages.length)
  const shown = new Set(pages.filter(page => page.nav).map(page => page.path))
  for (const page of pages) expect(shown.has((page.under ?? page.path) as never), page.path).toBe(true)
})

test.each([
  ['/sessions/ses_1', 'sessions:read'],
  ['/terminals/trm_1', 'sessions:read'],
  ['/jobs/job_1', 'jobs:read'],
  ['/secrets', 'jobs:read'],
  ['/pools', 'clusters:read'],
  ['/projects', null],
])('%s needs %s', (path, scope) => {
  const found = findPage(path)
  expect(found && scopeOf(found.page)).toBe(scope)
})
