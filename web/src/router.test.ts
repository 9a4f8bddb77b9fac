import { expect, test } from 'vitest'
import { matchPath } from './router.tsx'

test.each([
  ['/', 'sessions', ''],
  ['/sessions', 'sessions', ''],
  ['/sessions/', 'sessions', ''],
  ['/sessions/ses_1', 'session', 'ses_1'],
  ['/sessions/a%20b', 'session', 'a b'],
  ['/sessions/%E0%A4%A', 'session', '%E0%A4%A'],
  ['/wall', 'wall', ''],
  ['/clusters', 'clusters', ''],
  ['/tokens', 'tokens', ''],
  ['/tokens/tok_1', 'none', ''],
  ['/sessions/ses_1/vnc.html', 'none', ''],
  ['/audit', 'none', ''],
])('%s is %s', (path, page, id) => {
  expect(matchPath(path)).toEqual({ page, id })
})
