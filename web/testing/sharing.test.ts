/** Sharing a screen, from both ends: the owner's dialog, and a guest without an account, in two browsers at once. */
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Session } from '../src/api/contract.ts'
import {
  type BuiltDashboard,
  buildDashboard,
  colourOf,
  type OpenDashboard,
  openDashboard,
  soon,
  teal,
} from './built-dashboard.ts'
import { sampleSecret } from './sample-state.ts'

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

/** A browser of somebody else: no cookie, and its complaints count, too. */
async function guest(): Promise<Page> {
  const context = await built.browser.newContext({ viewport: { width: 900, height: 700 } })
  const other = await context.newPage()
  other.on('pageerror', error => dashboard.complaints.push(String(error)))
  return other
}

const live = (where: Page) => where.locator('.screen[data-phase=live]')
const screens = () => dashboard.api.screens.get('ses_01a') ?? []
const join = (secret = sampleSecret) => `${dashboard.api.url}/join#${secret}`

test('a link made to watch shows the screen to a stranger, and revoking it ends that at once', async () => {
  await dashboard.open('/sessions/ses_01a')
  await live(page).waitFor()
  await page.getByRole('button', { name: 'Share' }).click()
  await page.getByLabel('At most at once').fill('2')
  await page.getByRole('button', { name: 'Make a link' }).click()
  const url = await page.getByRole('textbox', { name: 'Link to watch' }).inputValue()
  expect(await page.evaluate('document.activeElement.className')).toBe('copy')

  const other = await guest()
  await other.goto(url)
  await live(other).waitFor()
  await soon(async () => expect(await colourOf(other, '.screen canvas')).toEqual([...teal]))
  await other.getByText('Shared by ada').waitFor()
  await other.getByText('You are watching').waitFor()
  await other.locator('.screen canvas').click()
  await other.keyboard.type('abc')
  const theirs = screens().find(screen => screen.role === 'view')
  expect([theirs?.rfb.seen.keys, theirs?.rfb.seen.pointers]).toEqual([[], []])
  expect(await other.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toContain('vnc-')

  const mine = page.locator('.share-living li[data-new]')
  await mine.getByText('1 of 2 watching').waitFor()
  await mine.getByRole('button', { name: /Revoke/ }).click()
  await other.getByRole('heading', { name: 'Sharing has ended' }).waitFor()
  await mine.waitFor({ state: 'detached' })
  expect(await page.content()).not.toContain(url)
  await other.context().close()
})

test('a link to control sends keys, until the guest chooses to watch only', async () => {
  const other = await guest()
  await other.goto(join(`vnc-lk-${'control'.padEnd(49, '0')}`))
  await live(other).waitFor()
  await other.locator('.screen canvas').click()
  await other.keyboard.type('hi')
  const [screen] = screens()
  await soon(() => expect(screen?.rfb.seen.keys.filter(key => key.down).map(key => key.keysym)).toEqual([0x68, 0x69]))
  await other.getByLabel('Watch only').check()
  await other.locator('.screen canvas').click()
  await other.keyboard.type('no')
  await other.getByLabel('Watch only').uncheck()
  await other.locator('.screen canvas').click()
  await other.keyboard.type('x')
  await soon(() => expect(screen?.rfb.seen.keys.filter(key => key.down).at(-1)?.keysym).toBe(0x78))
  expect(screen?.rfb.seen.keys.filter(key => key.down)).toHaveLength(3)
  await other.context().close()
})

test('a guest waits for a session that starts, and sees it as soon as it runs', async () => {
  const session = dashboard.api.state.sessions.get('ses_01a') as Session
  dashboard.api.state.sessions.set('ses_01a', { ...session, status: 'starting' })
  const other = await guest()
  await other.clock.install()
  await other.goto(join())
  await other.getByRole('heading', { name: 'Starting' }).waitFor()
  dashboard.api.state.sessions.set('ses_01a', session)
  await other.clock.runFor(10_100)
  await live(other).waitFor()
  await other.context().close()
})

test('a full link says so and lets the next one in when somebody leaves', async () => {
  const link = dashboard.api.state.links.get(sampleSecret)
  if (link) dashboard.api.state.links.set(sampleSecret, { ...link, max_viewers: 1 })
  const first = await guest()
  await first.goto(join())
  await live(first).waitFor()
  const second = await guest()
  await second.goto(join())
  await second.getByText('This link shows 1 screens at once').waitFor()
  await first.context().close()
  await soon(() => expect(screens()).toHaveLength(0))
  await second.getByRole('button', { name: 'Now' }).click()
  await live(second).waitFor()
  await second.context().close()
})

test('time that runs out closes the page of a guest, though no server says so', async () => {
  const other = await guest()
  await other.clock.install()
  await other.goto(join())
  await live(other).waitFor()
  await other.clock.fastForward('36:00')
  await other.getByRole('heading', { name: 'This link has expired' }).waitFor()
  await soon(() => expect(screens()).toHaveLength(0))
  await other.context().close()
})

test.each([
  ['#', 'This link is not complete'],
  ['#vnc-lk-<b>', 'This link is not complete'],
  [`#vnc-lk-${'unknown'.padEnd(49, '0')}`, 'This link does not work'],
])('%s: %s', async (hash, words) => {
  await page.goto(`${dashboard.api.url}/join${hash}`)
  await page.getByRole('heading', { name: words }).waitFor()
  expect(dashboard.api.calls.filter(call => !call.includes('/v1/links/'))).toEqual([])
})

test('another link pasted into the same tab is opened', async () => {
  await page.goto(`${dashboard.api.url}/join#vnc-lk-`)
  await page.getByRole('heading', { name: 'not complete' }).waitFor()
  await page.evaluate(`location.hash = '${sampleSecret}'`)
  await live(page).waitFor()
})

test('a refused link stands in words in the dialog; bad numbers never leave the page', async () => {
  await dashboard.open('/sessions/ses_01a')
  await page.getByRole('button', { name: 'Share' }).click()
  await page.getByLabel('At most at once').fill('0')
  await page.getByRole('button', { name: 'Make a link' }).click()
  await page.getByText('A whole number from 1 to 100').waitFor()
  const made = () => dashboard.api.calls.filter(call => call === 'POST /v1/sessions/ses_01a/links').length
  expect(made()).toBe(0)
  await page.getByLabel('At most at once').fill('')
  dashboard.api.faults.set('POST /v1/sessions/ses_01a/links', { status: 409, body: { detail: 'It is ending.' } })
  await page.getByRole('button', { name: 'Make a link' }).dblclick()
  await page.getByRole('alert').getByText('It is ending.').waitFor()
  expect(made()).toBeLessThanOrEqual(2)
})

test('a guest asks for control, and has it as soon as the owner says so', async () => {
  await dashboard.open('/sessions/ses_01a')
  await live(page).waitFor()
  const other = await guest()
  await other.clock.install()
  await other.goto(join(`vnc-lk-${'control'.padEnd(49, '0')}`))
  await live(other).waitFor()
  expect(await other.getByRole('button', { name: 'Ask for control' }).count()).toBe(0)
  await page.getByRole('tab', { name: 'Viewers' }).click()
  await page.locator('label', { hasText: 'One at a time' }).click()
  await page.locator('.control-line', { hasText: 'Only you type' }).waitFor()
  await other.clock.runFor(10_100)
  await other.getByRole('button', { name: 'Ask for control' }).click()
  await other.getByText('Asked.').waitFor()
  // From now on it looks sooner, without the look that was planned before it asked.
  await page.locator('.viewers li', { hasText: 'asks for control' }).waitFor()
  await page.getByRole('button', { name: 'Give it' }).click()
  await page.locator('.control-line', { hasText: 'Somebody else has control' }).waitFor()
  await other.clock.runFor(3_100)
  await other.getByText('You have control').waitFor()
  expect(await page.getByText('asks for control').count()).toBe(0)
  await other.context().close()
})

test('control goes to a guest and comes back, and both ends say so while their screens go on', async () => {
  await dashboard.open('/sessions/ses_01a')
  await live(page).waitFor()
  const other = await guest()
  await other.clock.install()
  await other.goto(join(`vnc-lk-${'control'.padEnd(49, '0')}`))
  await live(other).waitFor()
  await page.getByRole('tab', { name: 'Viewers' }).click()
  const theirs = page.locator('.viewers li', { hasText: 'A guest' })
  await page.locator('.viewers li[data-mine]').getByText('You, in this window').waitFor()
  await theirs.getByRole('button', { name: 'Give control' }).click()
  await page.locator('.control-line', { hasText: 'Somebody else has control' }).waitFor()
  await page.locator('.viewers li[data-mine]').getByText('Watches').waitFor()
  await page.getByRole('button', { name: 'Take it back' }).click()
  await page.locator('.control-line', { hasText: 'Only you type' }).waitFor()
  await other.clock.runFor(2_100)
  await other.getByText('You have control').waitFor()
  // They type: the agent drops it, and the page says so at once.
  await live(other).click()
  await other.getByText('Somebody else has control').waitFor()
  await page.locator('label', { hasText: 'All may type' }).click()
  await page.locator('.control-line').waitFor({ state: 'detached' })
  await other.clock.runFor(10_100)
  await other.getByText('You have control').waitFor()
  expect(screens()).toHaveLength(2)
  await other.context().close()
})
