/** Tokens, projects and the audit record, as an admin works with them. */
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type BuiltDashboard, buildDashboard, type OpenDashboard, openDashboard, soon } from './built-dashboard.ts'

let built: BuiltDashboard
let dashboard: OpenDashboard
let page: Page

beforeAll(async () => {
  built = await buildDashboard()
})
afterAll(() => built?.close())
beforeEach(async () => {
  dashboard = await openDashboard(built)
  page = dashboard.page
})
afterEach(async () => {
  await dashboard.close()
  expect(dashboard.complaints).toEqual([])
})

const rows = () => page.locator('.audit tbody tr:not(.audit-facts)')
const project = (name: string) => page.locator('.project', { hasText: name })

test('the record is read page by page, narrowed, and kept in the address', async () => {
  await dashboard.open('/audit')
  await soon(async () => expect(await rows().count()).toBe(50))
  await page.getByRole('button', { name: 'Load more' }).click()
  await soon(async () => expect(await rows().count()).toBe(70))
  await page.getByLabel('What', { exact: true }).selectOption('token.*')
  await soon(async () => expect(await rows().count()).toBe(7))
  await page.getByLabel('What', { exact: true }).selectOption('')
  await page.getByLabel('Outcome').selectOption('refused')
  await page.getByLabel('Who').fill('mallory')
  await page.keyboard.press('Enter')
  await soon(async () => expect(await rows().count()).toBe(7))
  expect(new URL(page.url()).search).toBe('?outcome=refused&actor=mallory')
  await page.reload()
  await soon(async () => expect(await rows().count()).toBe(7))
  await page.getByLabel('Who').fill('nobody')
  await page.keyboard.press('Enter')
  await page.getByText('No record fits').waitFor()
  await page.getByRole('button', { name: 'Clear the filters' }).click()
  await soon(async () => expect(await rows().count()).toBe(50))
})

test('what was recorded stays text, and a session can be opened from its record', async () => {
  await dashboard.open('/audit?outcome=failed')
  await page.locator('.audit-open').first().click()
  await page.locator('.audit-facts').getByText('<img src=x onerror=alert(1)>').waitFor()
  await page.goto(`${dashboard.api.url}/audit?action=session.create`)
  await page.getByRole('link', { name: 'ses_01a' }).first().click()
  await page.getByRole('heading', { name: 'checkout-test' }).waitFor()
})

test('the whole selection comes as a file, however much of it is shown', async () => {
  await dashboard.open('/audit?action=stream.*')
  await rows().first().waitFor()
  await page.getByRole('button', { name: 'Export what is chosen' }).click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: /CSV/ }).click()])
  expect(file.suggestedFilename()).toBe('audit.csv')
  const lines = (await readFile(await file.path(), 'utf8')).trim().split('\r\n')
  expect(lines).toHaveLength(22)
  expect(lines.slice(1).every(line => line.includes(',stream.'))).toBe(true)
})

test('a filter that changes while a page is on its way shows only what was asked for last', async () => {
  await dashboard.open('/audit')
  await rows().first().waitFor()
  for (const key of ['session.*', 'token.*', 'link.*', 'cluster.*'])
    await page.getByLabel('What', { exact: true }).selectOption(key)
  await soon(async () => expect(new Set(await rows().locator('code').allTextContents())).toEqual(new Set(['cluster.drain'])))
})

test('quotas: only what was changed is sent, faults stand at their fields', async () => {
  await dashboard.open('/projects')
  await page.getByRole('button', { name: 'Actions for Atlas' }).click()
  await page.getByRole('menuitem', { name: 'Name and quotas' }).click()
  await page.getByRole('textbox', { name: 'Sessions optional' }).fill('many')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').getByText('A whole number').waitFor()
  await page.getByRole('textbox', { name: 'Sessions optional' }).fill('12')
  await page.getByRole('textbox', { name: /^CPU/ }).fill('7')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').getByText('Seven is not lucky here.').waitFor()
  await page.getByRole('textbox', { name: /^CPU/ }).fill('')
  await page.getByRole('textbox', { name: /^Memory/ }).fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await project('Atlas').getByText('10 of 12').waitFor()
  const atlas = dashboard.api.state.projects.find(one => one.name === 'Atlas')
  expect(atlas?.quotas).toMatchObject({ max_sessions: 12, max_cpu: null, max_memory: null, max_storage: '100Gi', max_jobs: 5 })
})

test('a project is suspended, taken back, and deleted only by its name', async () => {
  await dashboard.open('/projects')
  const act = async (verb: string) => {
    await page.getByRole('button', { name: 'Actions for Atlas' }).click()
    await page.getByRole('menuitem', { name: verb }).click()
  }
  await act('Suspend')
  await project('Atlas').getByText('Suspended').waitFor()
  await act('Lift the suspension')
  await project('Atlas').getByText('Suspended').waitFor({ state: 'detached' })
  await act('Delete')
  const sure = page.getByRole('button', { name: 'Delete for good' })
  await page.getByText('10 sessions of it live now').waitFor()
  expect(await sure.isDisabled()).toBe(true)
  await page.getByLabel('To be sure').fill('atlas')
  expect(await sure.isDisabled()).toBe(true)
  await page.getByLabel('To be sure').fill('Atlas')
  await sure.click()
  await project('Atlas').waitFor({ state: 'detached' })
  expect(dashboard.api.calls.filter(call => call.startsWith('DELETE'))).toEqual(['DELETE /v1/projects/prj_02atlas'])
})

test('who is no admin sees the own use, and no way to change it', async () => {
  dashboard.api.state.me = { ...dashboard.api.state.me, scopes: ['sessions:read'] }
  dashboard.api.state.projects = dashboard.api.state.projects.slice(0, 1)
  await dashboard.open('/projects')
  await page.getByRole('heading', { name: 'Usage' }).waitFor()
  await project('Storefront').getByText('8 of 20').waitFor()
  expect(await page.getByRole('button', { name: /Actions for|New project/ }).count()).toBe(0)
  expect(await page.getByRole('link', { name: 'Audit' }).count()).toBe(0)
})

test('a leaked token is revoked with its family, and moves to the ended ones', async () => {
  await dashboard.open('/tokens')
  await page.getByRole('button', { name: 'Actions for Price research agent' }).click()
  await page.getByRole('menuitem', { name: 'Revoke' }).click()
  await page.getByText('It leaked').click()
  const asked = page.waitForRequest(request => request.method() === 'DELETE')
  await page.getByRole('button', { name: 'Revoke', exact: true }).click()
  expect(new URL((await asked).url()).search).toBe('?reason=leaked')
  const name = page.locator('.table-name', { hasText: 'Price research agent' })
  await name.waitFor({ state: 'detached' })
  await page.locator('label', { hasText: 'Ended' }).click()
  await name.waitFor()
})

test('a token for another user and project', async () => {
  await dashboard.open('/tokens')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('What for').fill('for grace')
  await page.getByText('For somebody else').click()
  await page.getByLabel('User').fill('grace')
  await page.getByLabel('Project', { exact: true }).selectOption({ label: 'Atlas' })
  const asked = page.waitForRequest(request => request.method() === 'POST')
  await page.getByRole('button', { name: 'Make the token' }).click()
  expect((await asked).postDataJSON()).toMatchObject({ name: 'for grace', user: 'grace', project: 'prj_02atlas' })
  await page.getByText('Copy it now').waitFor()
})
