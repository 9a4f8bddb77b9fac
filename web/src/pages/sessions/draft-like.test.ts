import { expect, test } from 'vitest'
import { sampleSession } from '../../../testing/sample-state.ts'
import type { Session, Template } from '../../api/contract.ts'
import { draftLike } from './draft-like.ts'
import { emptyDraft, requestOf } from './session-draft.ts'

const template = {
  id: 'chromium',
  kind: 'browser',
  browser: 'chromium',
  display: { width: 1280, height: 720 },
  resources: { cpu: '2', memory: '2Gi' },
  ttl_seconds: 28_800,
  idle_timeout_seconds: 1800,
} as Template
const session = (over: Partial<Session>) =>
  sampleSession(0, {
    id: 'ses_1',
    ...{
      template: 'chromium',
      name: 'shop',
      status: 'expired',
      browser: 'chromium',
      start_url: null,
      headless: false,
      labels: {},
    },
    ...{ display: template.display, resources: { cpu: '2', memory: '2Gi' }, ttl_seconds: 28_800, idle_timeout_seconds: 1800 },
    ...{ clipboard: 'both', egress: { mode: 'public', allow: [] }, recording: false, volume: null },
    ...over,
  })

test('what was the template’s own stays the template’s', () => {
  expect(draftLike(session({}), template)).toEqual({ ...emptyDraft, template: 'chromium', name: 'shop' })
})

test('what was chosen is asked for again', () => {
  const chosen: Partial<Session> = {
    start_url: 'https://shop.example/',
    display: { width: 1000, height: 700 },
    ttl_seconds: 3600,
    idle_timeout_seconds: 90,
    resources: { cpu: '4', memory: '2Gi' },
    labels: { team: 'payments', run: '7' },
    volume: 'vol_1',
    clipboard: 'in',
    egress: { mode: 'none', allow: [] },
    recording: true,
  }
  const { body, faults } = requestOf(draftLike(session(chosen), template), 'browser')
  expect(faults.size).toBe(0)
  expect(body).toEqual({ template: 'chromium', name: 'shop', ...chosen, resources: { cpu: '4' }, egress: { mode: 'none' } })
})
