/** Files: volumes made, taken out, put back, removed and given to a session; the home of a session that runs. */
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

const row = (name: string) => page.locator('.table tbody tr', { hasText: name })
const act = async (name: string, verb: string) => {
  await page.getByRole('button', { name: `Actions for ${name}` }).click()
  await page.getByRole('menuitem', { name: verb }).click()
}

test('files come out as they are, and others go in byte by byte', async () => {
  dashboard.api.state.archives.set('vol_02shop', Buffer.from([31, 139, 0, 255, 7]))
  await dashboard.open('/volumes')
  await act('shop sign-ins', 'Download')
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download', exact: true }).click(),
  ])
  expect(file.suggestedFilename()).toBe('shop-sign-ins.tar.gz')
  expect([...(await readFile(await file.path()))]).toEqual([31, 139, 0, 255, 7])
  await page.getByRole('dialog').waitFor({ state: 'detached' })

  await act('shop sign-ins', 'Replace')
  const archive = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 251))
  await page.getByLabel('Archive').setInputFiles({ name: 'home.tar.gz', mimeType: 'application/gzip', buffer: archive })
  await page.getByRole('button', { name: 'Replace', exact: true }).click()
  await page.getByText('now holds the files of home.tar.gz').waitFor()
  expect(dashboard.api.state.archives.get('vol_02shop')?.equals(archive)).toBe(true)
})

test('a refusal stands in words, and stopping leaves nothing behind', async () => {
  dashboard.api.faults.set('GET /v1/volumes/vol_02shop/archive', {
    status: 503,
    body: { detail: 'The cluster of this volume is offline.' },
  })
  await dashboard.open('/volumes')
  await act('shop sign-ins', 'Download')
  await page.getByRole('button', { name: 'Download', exact: true }).click()
  await page.getByText('The cluster of this volume is offline.').waitFor()
  dashboard.api.faults.set('GET /v1/volumes/vol_02shop/archive', 'hang')
  await page.getByRole('button', { name: 'Download', exact: true }).click()
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

test('what a session writes to can only be looked at; what is free goes for good', async () => {
  await dashboard.open('/volumes')
  await page.getByRole('button', { name: 'Actions for grace-home' }).click()
  expect(await page.getByRole('menuitem').allTextContents()).toEqual(['Download its files'])
  await page.keyboard.press('Escape')
  await act('atlas', 'Remove')
  await page.getByRole('button', { name: 'Remove for good' }).click()
  await row('atlas').waitFor({ state: 'detached' })
  expect([...dashboard.api.state.volumes.keys()]).toEqual(['vol_01grace', 'vol_02shop'])
})

test('a new one is made and given to a session', async () => {
  await dashboard.open('/volumes')
  await page.getByRole('button', { name: 'New volume' }).click()
  await page.getByLabel('Size').fill('many')
  await page.getByRole('button', { name: 'Make it' }).click()
  await page.getByText('Give it a name.').waitFor()
  await page.getByLabel('Name').fill('fresh')
  await page.getByLabel('Size').fill('3Gi')
  await page.getByRole('button', { name: 'Make it' }).click()
  await row('fresh').getByText('3Gi').waitFor()
  await page.locator('.hull-link', { hasText: 'Sessions' }).click()
  await page.getByRole('button', { name: 'New session' }).first().click()
  await page.getByLabel('Volume', { exact: true }).selectOption({ label: 'fresh' })
  expect(
    await page.getByLabel('Volume', { exact: true }).locator('option', { hasText: 'grace-home (in use)' }).isDisabled(),
  ).toBe(true)
  const asked = page.waitForRequest(request => request.method() === 'POST' && request.url().endsWith('/v1/sessions'))
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  expect((await asked).postDataJSON().volume).toMatch(/^vol_/)
})

// ---- the home of a session that runs ----

const openFiles = async () => {
  await dashboard.open('/sessions/ses_01a')
  await page.getByRole('tab', { name: 'Files' }).click()
}
const names = () => page.locator('.files-name > :first-child').allTextContents()

test('folders are walked through, and a file comes out as it is', async () => {
  await openFiles()
  await soon(async () => expect(await names()).toEqual(['Downloads', 'notes.txt']))
  await page.getByRole('button', { name: 'Show 2 dotfiles' }).click()
  await soon(async () => expect(await names()).toEqual(['.config', 'Downloads', '.profile', 'notes.txt']))
  await page.getByRole('button', { name: 'Downloads', exact: true }).click()
  await soon(async () => expect(await names()).toEqual(['invoice 2026-118.pdf', 'prices.csv']))
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'invoice 2026-118.pdf' }).click(),
  ])
  expect(file.suggestedFilename()).toBe('invoice 2026-118.pdf')
  expect((await readFile(await file.path())).length).toBe(48_213)
  await page.getByRole('button', { name: 'Home', exact: true }).click()
  await page.getByRole('link', { name: 'notes.txt' }).waitFor()
})

test('files go in where one is, with whatever name they have, and go for good', async () => {
  await openFiles()
  await page.getByRole('button', { name: 'Downloads', exact: true }).click()
  await page.getByRole('link', { name: 'prices.csv' }).waitFor()
  const name = '<img src=x onerror=alert(1)> ñ#%?.txt'
  await page.getByLabel('Files to put here').setInputFiles([
    { name, mimeType: 'text/plain', buffer: Buffer.from('one') },
    { name: 'two.bin', mimeType: 'application/octet-stream', buffer: Buffer.from([0, 255, 10]) },
  ])
  await page.getByText('2 files put into Downloads.').waitFor()
  await page.getByRole('link', { name }).waitFor()
  expect(dashboard.api.state.files.get(`Downloads/${name}`)?.toString()).toBe('one')
  expect([...(dashboard.api.state.files.get('Downloads/two.bin') ?? [])]).toEqual([0, 255, 10])
  await page.getByRole('button', { name: 'Remove two.bin' }).click()
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await page.getByRole('link', { name: 'two.bin' }).waitFor({ state: 'detached' })
  expect(dashboard.api.state.files.has('Downloads/two.bin')).toBe(false)
})

test('a folder that cannot be read says why, and the way back stays', async () => {
  await openFiles()
  dashboard.api.faults.set('GET /v1/sessions/ses_01a/files/Downloads', {
    status: 503,
    body: { detail: 'The cluster is offline.' },
  })
  await page.getByRole('button', { name: 'Downloads', exact: true }).click()
  await page.getByText('The cluster is offline.').waitFor()
  await page.getByRole('button', { name: 'Home', exact: true }).click()
  await page.getByRole('link', { name: 'notes.txt' }).waitFor()
})
