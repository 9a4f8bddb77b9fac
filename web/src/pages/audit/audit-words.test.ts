import { expect, test } from 'vitest'
import type { AuditRecord } from '../../api/contract.ts'
import { actorKind, factsOf, filterOf, outcomeWord, targetPage } from './audit-words.ts'

const record = (over: Partial<AuditRecord>): AuditRecord => ({
  id: 'aud_1',
  object: 'audit_record',
  created_at: '2026-11-21T12:00:00Z',
  project: null,
  actor: { kind: 'token', id: 'ada', token: null },
  action: 'session.create',
  target: 'ses_1',
  outcome: 'ok',
  address: null,
  request_id: null,
  detail: {},
  ...over,
})
const filter = (search: string) => filterOf(key => new URLSearchParams(search).get(key) ?? '', Date.parse('2026-11-21T12:00:00Z'))

test('only what was chosen is asked for', () => {
  expect(filter('')).toEqual({})
  expect(filter('action=session.*&actor=%20ada%20&span=day')).toEqual({
    action: 'session.*',
    actor: 'ada',
    since: '2026-11-20T12:00:00.000Z',
  })
  expect(filter('span=century&outcome=refused&colour=red')).toEqual({ outcome: 'refused' })
})

test('only sessions have a page, and only by a whole id', () => {
  expect([targetPage('ses_1a'), targetPage('job_1'), targetPage('tok_1'), targetPage('ses_../x'), targetPage('')]).toEqual([
    '/sessions/ses_1a',
    '/jobs/job_1',
    null,
    null,
    null,
  ])
})

test('facts are text on one line, whatever was recorded', () => {
  expect(factsOf(record({ detail: { name: 'a\n\x1b[31mb', list: [1, { x: 2 }] }, request_id: 'req_1' }))).toEqual([
    ['name', 'a b'],
    ['list', '[1,{"x":2}]'],
    ['request', 'req_1'],
    ['record', 'aud_1'],
  ])
})

test('words of a newer API are shown as they are', () => {
  expect(outcomeWord('postponed').word).toBe('postponed')
  expect(actorKind(record({ actor: { kind: 'robot', id: 'r', token: null } }))).toBe('robot')
})
