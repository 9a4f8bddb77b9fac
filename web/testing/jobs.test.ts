/** Jobs: the queue, one job with its live log, and what may be done with it. */
import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Job } from '../src/api/contract.ts'
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

const row = (name: string) => page.locator('.job-row', { hasText: name })
const lines = () => page.locator('.log-line')
const job = (id: string) => dashboard.api.state.jobs.get(id) as Job
const log = () => page.locator('.job-log-text')

test('the queue follows the events: places, progress and ends appear by themselves', async () => {
  await dashboard.open('/jobs')
  await row('atlas import').getByText('3rd in line.').waitFor()
  await page.locator('.link-word[data-phase=live]').waitFor({ state: 'attached' })
  dashboard.api.jobs.tellJob({ ...job('job_02wait'), queue: { position: 1, reason: 'next' } })
  await row('atlas import').getByText('1st in line.').waitFor()
  dashboard.api.jobs.tellJob({ ...job('job_02wait'), status: 'running', queue: null, started_at: new Date().toISOString() })
  await row('atlas import').getByText('Running').waitFor()
  dashboard.api.jobs.tellJob({ ...job('job_01run'), progress: { percent: 90, step: 'suite 45 of 50' } })
  await row('checkout tests').getByText('suite 45 of 50').waitFor()
  expect(await row('checkout tests').getByRole('progressbar').getAttribute('aria-valuenow')).toBe('90')
  await page.locator('label', { hasText: 'Ended' }).click()
  await row('nightly e2e').getByText('It ended with code 3.').waitFor()
  expect(await row('atlas import').count()).toBe(0)
})

test('a log is followed in its colours, through a cut, with nothing twice', async () => {
  await dashboard.open('/jobs/job_01run')
  await lines().getByText('suite 31').waitFor()
  const red = await lines().getByText('expected 84.50').getAttribute('data-ink')
  expect(red).toBe('red')
  dashboard.api.jobs.write('job_01run', 'before the cut\n')
  await lines().getByText('before the cut').waitFor()
  dashboard.api.jobs.cut('job_01run')
  dashboard.api.jobs.write('job_01run', 'while it was cut\n')
  await lines().getByText('while it was cut').waitFor()
  expect(await lines().getByText('before the cut').count()).toBe(1)
  dashboard.api.jobs.write('job_01run', 'unfinished <b>line</b>')
  await log().getByText('unfinished <b>line</b>').waitFor()
  dashboard.api.jobs.tellJob({ ...job('job_01run'), status: 'succeeded', exit_code: 0, ended_at: new Date().toISOString() })
  await page.getByText('End of the log').waitFor()
  await page.getByRole('button', { name: 'Run it again' }).waitFor()
  expect(await lines().last().textContent()).toContain('unfinished <b>line</b>')
})

test('paused, it holds still and counts what is new; found words are walked through', async () => {
  await dashboard.open('/jobs/job_01run')
  await lines().getByText('suite 31').waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  const before = await lines().count()
  dashboard.api.jobs.write('job_01run', 'needle one\nhay\n')
  dashboard.api.jobs.write('job_01run', 'needle two\n')
  await page.getByRole('button', { name: /Go on \(\d new\)/ }).waitFor()
  expect(await lines().count()).toBe(before)
  await page.getByRole('button', { name: /Go on/ }).click()
  await lines().getByText('needle two').waitFor()
  await page.getByLabel('Search the log').fill('NEEDLE')
  await page.getByText('1 of 2').waitFor()
  await page.keyboard.press('Enter')
  await page.getByText('2 of 2').waitFor()
  expect(await page.locator('.log-line[data-current] mark').textContent()).toBe('needle')
  await page.keyboard.press('Enter')
  await page.getByText('1 of 2').waitFor()
  await page.getByLabel('Search the log').fill('zebra')
  await page.getByText('none', { exact: true }).waitFor()
})

test('a hundred thousand lines are read without choking, and saved whole', async () => {
  const text = Array.from({ length: 100_000 }, (_, index) => `line ${index} \x1b[3${index % 8}mcolour\x1b[0m`).join('\n')
  dashboard.api.state.jobLogs.set('job_03fail', `${text}\n`)
  await dashboard.open('/jobs/job_03fail')
  await soon(async () => expect(await lines().last().textContent()).toContain('line 99999 '))
  await page.getByText('older lines are not shown').waitFor()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save' }).click()])
  expect((await readFile(await file.path(), 'utf8')).split('\n')).toHaveLength(100_001)
})

test('what a manifest left running is read live, one container or another, and the log again', async () => {
  dashboard.api.state.jobLogs.set('job_07man', 'Deployment/shop: available\n')
  await dashboard.open('/jobs/job_07man')
  await lines().getByText('Deployment/shop: available').waitFor()
  await page.locator('label', { hasText: 'Live output' }).click()
  await lines().getByText('shop-2/main serves').waitFor()
  await page.getByText('Following', { exact: true }).waitFor()
  await page.getByLabel('Container').selectOption('shop-1/main')
  await lines().getByText('shop-1/main serves').waitFor()
  expect(await lines().count()).toBe(1)
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save' }).click()])
  expect(await readFile(await file.path(), 'utf8')).toBe('shop-1/main serves\n')
  await page.locator('label', { hasText: 'Live output' }).click()
  await lines().getByText('Deployment/shop: available').waitFor()
  dashboard.api.jobs.tellJob({ ...job('job_07man'), name: 'gone' })
  await page.locator('label', { hasText: 'Live output' }).click()
  await page.getByText('no pod of the job runs').waitFor()
})

test('cancel, run again, delete', async () => {
  await dashboard.open('/jobs/job_01run')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Ending', { exact: true }).waitFor()
  dashboard.api.jobs.tellJob({ ...job('job_01run'), status: 'canceled', canceling: false, ended_at: new Date().toISOString() })
  await page.getByText('Canceled', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Run it again' }).click()
  await page.getByText('Queued', { exact: true }).waitFor()
  await page.getByLabel('Attempt').selectOption({ label: '1, failed, code 1' })
  await page.getByRole('button', { name: 'Job actions' }).click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
  expect(dashboard.api.state.jobs.has('job_01run')).toBe(false)
})

test('what has succeeded is done again only when confirmed', async () => {
  await dashboard.open('/jobs/job_04ok')
  await page.getByRole('button', { name: 'Run it again' }).click()
  await page.getByText('what it did is done once more').waitFor()
  const asked = page.waitForRequest(request => request.url().endsWith('/retry'))
  await page.getByRole('dialog').getByRole('button', { name: 'Run it again' }).click()
  expect((await asked).postDataJSON()).toEqual({ force: true })
})

test('a new job: faults at their fields, then its page', async () => {
  await dashboard.open('/jobs')
  await page.getByRole('button', { name: 'New job' }).click()
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByText('Say what to run').waitFor()
  await page.getByLabel('Command').fill('make test')
  await page.getByLabel('Image').fill('no spaces')
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByRole('alert').getByText('This is no image reference.').waitFor()
  await page.getByLabel('Image').fill('')
  await page.getByRole('textbox', { name: /^Name/ }).fill('mine')
  await page.getByRole('button', { name: 'Run', exact: true }).dblclick()
  await page.getByRole('heading', { name: 'mine' }).waitFor()
  await soon(() => expect([...dashboard.api.state.jobs.values()].filter(one => one.name === 'mine')).toHaveLength(1))
})

test('a manifest is looked at first: the differences stand there before it can be applied', async () => {
  await dashboard.open('/jobs')
  await page.getByRole('button', { name: 'New job' }).click()
  await page.locator('label', { hasText: 'Manifest' }).click()
  await page.getByLabel('YAML').fill('kind: Deployment')
  await page.getByRole('button', { name: 'Show what would change' }).click()
  await page.locator('.job-diff [data-line="+"]', { hasText: 'replicas: 3' }).waitFor()
  await page.getByText('Removed').waitFor()
  // What is changed after that must be looked at again.
  await page.getByLabel('YAML').fill('kind: Deployment\n')
  await page.getByRole('button', { name: 'Show what would change' }).click()
  await page.getByRole('button', { name: 'Apply this' }).click()
  await page.locator('.session-title .status', { hasText: 'Queued' }).waitFor()
  const posts = dashboard.api.calls.filter(call => call === 'POST /v1/jobs')
  expect(posts).toHaveLength(3)
})
