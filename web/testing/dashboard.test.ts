/**
 * The built dashboard in a real Chromium, under the strictest policy, against the puppet API: what a person does and sees, down to the
 * pixels that came through noVNC and the keys that went back.
 */
import { readFileSync } from 'node:fs'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Session } from '../src/api/contract.ts'
import {
  type BuiltDashboard,
  buildDashboard,
  colourOf as colour,
  type OpenDashboard,
  openDashboard,
  soon,
  teal,
} from './built-dashboard.ts'
import type { FakeApi } from './fake-api.ts'
import { plainPicture } from './rfb-double.ts'
import { sampleSession } from './sample-state.ts'

let built: BuiltDashboard
let dashboard: OpenDashboard
let api: FakeApi
let context: BrowserContext
let page: Page

beforeAll(async () => {
  built = await buildDashboard()
})
afterAll(() => built?.close())
beforeEach(async () => {
  dashboard = await openDashboard(built)
  api = dashboard.api
  context = dashboard.context
  page = dashboard.page
})
afterEach(async () => {
  await dashboard.close()
  expect(dashboard.complaints).toEqual([])
})

const open = (path: string) => dashboard.open(path)
const live = () => page.locator('.screen[data-phase=live]')
const card = (name: string) => page.locator('.card', { hasText: name })
const colourOf = (selector: string) => colour(page, selector)

/** Address and word of each page in the navigation, as their table says. */
const table = readFileSync(new URL('../src/pages.tsx', import.meta.url), 'utf8')
const inNavigation = [...table.matchAll(/path: '([^':]+)',\n +title: '[^']*',\n +nav: { label: '([^']+)'/g)].map(
  found => [found[1]!, found[2]!] as const,
)

const namelessControls = `[...document.querySelectorAll('button, a, input, select, textarea')]
  .filter(one => !one.closest('[aria-hidden=true]') && !one.labels?.length && !one.getAttribute('aria-label') && !one.textContent.trim())
  .map(one => one.outerHTML)`

function running(over: Partial<Session> & { id: string }): Session {
  return sampleSession(Date.now(), { created_at: new Date().toISOString(), ...over })
}

test('a bad token is refused in words, a good one opens the sessions, and signing out ends it', async () => {
  await page.goto(api.url)
  await page.getByLabel('Token').fill('vnc-sk-nonsense')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('This token is not valid').waitFor()
  await page.getByLabel('Token').fill(api.secret)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Sessions' }).waitFor()
  const kept = await page.evaluate('JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie')
  expect(kept).not.toContain(api.secret)
  await page.getByRole('button', { name: 'Account and colours' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
})

test('the list follows the events: a session comes, changes and goes without a reload', async () => {
  await open('/sessions')
  await card('checkout-test').waitFor()
  await page.locator('.link-word[data-phase=live]').waitFor({ state: 'attached' })
  const asked = () => api.calls.filter(call => call === 'GET /v1/sessions').length
  // The list itself, and the count in the navigation.
  await soon(() => expect(asked()).toBe(2))
  api.tellSession(running({ id: 'ses_99new', name: 'fresh', status: 'starting' }), 'session.created')
  await card('fresh').getByText('Starting', { exact: true }).waitFor()
  api.tellSession(running({ id: 'ses_99new', name: 'fresh' }))
  await card('fresh').getByText('Running').waitFor()
  api.tellSession(running({ id: 'ses_99new', name: 'fresh' }), 'session.deleted')
  await card('fresh').waitFor({ state: 'detached' })
  expect(asked()).toBe(2)
})

test('after a gap in the events the list is fetched anew, and a banner says so meanwhile', async () => {
  await open('/sessions')
  await card('checkout-test').waitFor()
  await page.locator('.link-word[data-phase=live]').waitFor({ state: 'attached' })
  api.cut(true)
  await page.getByText('What you see may be old').waitFor()
  api.state.sessions.delete('ses_01a')
  api.cut(false)
  await card('checkout-test').waitFor({ state: 'detached' })
  await page.getByText('What you see may be old').waitFor({ state: 'detached' })
})

test('names from sessions stay text', async () => {
  await open('/sessions')
  api.tellSession(
    running({ id: 'ses_99evil', name: '<img src=x onerror="window.pwned=1">', status_reason: '<b>x</b>' }),
    'session.created',
  )
  await page.getByText('<img src=x onerror="window.pwned=1">').waitFor()
  expect(await page.evaluate('window.pwned')).toBeUndefined()
})

test('what is asked of a session shows at once and is taken back when it is refused', async () => {
  api.faults.set('POST /v1/sessions/ses_01a/stop', { status: 409, body: { detail: 'It is being moved.' } })
  await open('/sessions')
  await page.getByRole('button', { name: 'Actions for checkout-test' }).click()
  await page.getByRole('menuitem', { name: /Stop/ }).click()
  await page.getByText('Not stopped: It is being moved.').waitFor()
  await card('checkout-test').getByText('Running').waitFor()
  api.faults.clear()
  await page.getByRole('button', { name: 'Actions for checkout-test' }).click()
  await page.getByRole('menuitem', { name: /Stop/ }).click()
  await card('checkout-test').waitFor({ state: 'detached' })
  expect(api.state.sessions.get('ses_01a')?.status).toBe('stopped')
})

test('what failed cannot run again: a new one is made as it was', async () => {
  await open('/sessions/ses_09i')
  await page.locator('.stage').getByRole('button', { name: 'New one like it' }).click()
  expect(await page.getByRole('textbox', { name: /^Name/ }).inputValue()).toBe('visual-regression')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.getByText('It failed').waitFor({ state: 'detached' })
  expect([...api.state.sessions.values()].filter(one => one.name === 'visual-regression')).toHaveLength(2)
})

test('a new session: faults stand at their fields, then its page opens', async () => {
  await open('/sessions')
  await page.getByRole('button', { name: 'New session' }).first().click()
  await page.getByLabel('First page').fill('javascript:alert(1)')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.getByRole('alert').getByText('Must be an http:').waitFor()
  await page.getByLabel('First page').fill('example.com')
  await page.getByRole('textbox', { name: /^Name/ }).fill('mine')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.getByRole('heading', { name: 'mine' }).waitFor()
  expect([...api.state.sessions.values()].find(one => one.name === 'mine')?.start_url).toBe('https://example.com')
})

test('the screen shows the pixels of the session and sends keys and pointer back', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  await soon(async () => expect(await colourOf('.screen canvas')).toEqual([...teal]))
  const [screen] = api.screens.get('ses_01a') ?? []
  expect(screen?.role).toBe('control')
  await page.locator('.screen canvas').click({ position: { x: 100, y: 50 } })
  await page.keyboard.type('hi')
  await soon(() => expect(screen?.rfb.seen.keys.filter(key => key.down).map(key => key.keysym)).toEqual([0x68, 0x69]))
  expect(screen?.rfb.seen.pointers.some(pointer => pointer.buttons === 1)).toBe(true)
  screen?.rfb.paint(plainPicture(640, 400, [200, 30, 30]))
  await soon(async () => expect(await colourOf('.screen canvas')).toEqual([200, 30, 30]))
})

test('pasting puts the text into the clipboard of the session and presses its paste key', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  await page.getByRole('button', { name: 'Clipboard' }).click()
  await page.getByPlaceholder('Paste or write here').fill('héllo')
  await page.getByRole('button', { name: 'Paste', exact: true }).click()
  const [screen] = api.screens.get('ses_01a') ?? []
  await soon(() => expect(screen?.rfb.seen.clipboard).toEqual(['héllo']))
  await soon(() =>
    expect(screen?.rfb.seen.keys.map(key => `${key.down ? '+' : '-'}${key.keysym.toString(16)}`)).toEqual([
      '+ffe3',
      '+76',
      '-76',
      '-ffe3',
    ]),
  )
  screen?.rfb.copy('from over there')
  await page.locator('.clip-out').getByText('from over there').waitFor()
})

test('Ctrl+V on the screen pastes what the browser hands over, without asking for a permission', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.evaluate('navigator.clipboard.writeText("by key")')
  await context.clearPermissions()
  await page.locator('.screen canvas').click()
  await page.keyboard.press('Control+v')
  const [screen] = api.screens.get('ses_01a') ?? []
  await soon(() => expect(screen?.rfb.seen.clipboard).toEqual(['by key']))
})

test('a session that takes no clipboard gets none, and Ctrl+V is just a key', async () => {
  const session = api.state.sessions.get('ses_01a') as Session
  api.state.sessions.set('ses_01a', { ...session, clipboard: 'none' })
  await open('/sessions/ses_01a')
  await live().waitFor()
  await page.locator('.screen canvas').click()
  await page.keyboard.press('Control+v')
  const [screen] = api.screens.get('ses_01a') ?? []
  await soon(() => expect(screen?.rfb.seen.keys.some(key => key.keysym === 0x76)).toBe(true))
  await page.getByRole('button', { name: 'Clipboard' }).click()
  await page.getByPlaceholder('Paste or write here').fill('x')
  expect(await page.getByRole('button', { name: 'Paste', exact: true }).isDisabled()).toBe(true)
  expect(screen?.rfb.seen.clipboard).toEqual([])
})

test('the keyboard comes back with Ctrl+Alt+Shift, and no key is left down over there', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  await page.locator('.screen canvas').click()
  await page.keyboard.press('Control+Alt+Shift')
  await soon(async () => expect(await page.evaluate('document.activeElement.closest(".stage-tools") !== null')).toBe(true))
  const [screen] = api.screens.get('ses_01a') ?? []
  await soon(() => {
    const down = new Map(screen?.rfb.seen.keys.map(key => [key.keysym, key.down]))
    expect([...down.values()]).toEqual([...down.values()].map(() => false))
    expect(down.size).toBeGreaterThan(0)
  })
})

test('a lost screen says why, keeps its last picture and comes back with a new ticket', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  await soon(async () => expect(await colourOf('.screen canvas')).toEqual([...teal]))
  const tickets = () => api.calls.filter(call => call.endsWith('/tickets')).length
  expect(tickets()).toBe(1)
  api.faults.set('POST /v1/sessions/ses_01a/tickets', { status: 503, body: { detail: 'The cluster is offline.' } })
  api.screens.get('ses_01a')?.[0]?.close(4503, 'cluster_offline')
  await page.locator('.screen-veil').getByText('The cluster is offline.').waitFor()
  expect(await colourOf('canvas[data-frozen]')).toEqual([...teal])
  api.faults.clear()
  await live().waitFor()
  expect(tickets()).toBeGreaterThan(1)
  expect(await page.locator('canvas[data-frozen]').count()).toBe(0)
})

test('a part of the dashboard that does not come at first is asked for again, its looks too', async () => {
  const dropped = new Set<string>()
  await page.route('**/assets/clusters-page*', route => {
    const { pathname } = new URL(route.request().url())
    if (dropped.has(pathname)) return route.continue()
    dropped.add(pathname)
    return route.abort('internetdisconnected')
  })
  await open('/clusters')
  await page.getByRole('heading', { name: 'eu-west' }).waitFor()
  expect([...dropped].map(path => path.split('.').at(-1)).sort()).toEqual(['css', 'js'])
  const looks = () => page.evaluate(`getComputedStyle(document.querySelector('.cluster')).display`)
  await soon(async () => expect(await looks()).toBe('flex'))
})

test('a way to the screen that never answers is given up, said, and tried again', async () => {
  api.faults.set('POST /v1/sessions/ses_01a/tickets', 'hang')
  await page.clock.install()
  await open('/sessions/ses_01a')
  await page.getByText('Connecting to the screen').waitFor()
  await page.clock.fastForward(46_000)
  await page.locator('.screen-veil').getByText('The screen did not answer in time.').waitFor()
  api.faults.clear()
  await page.getByRole('button', { name: 'Now' }).click()
  await live().waitFor()
})

test('a screen that was taken back stays closed until asked for', async () => {
  await open('/sessions/ses_01a')
  await live().waitFor()
  api.screens.get('ses_01a')?.[0]?.close(4403, 'revoked')
  await page.getByText('Your access was taken back.').waitFor()
  await page.getByRole('button', { name: 'Connect again' }).click()
  await live().waitFor()
})

test('the wall shows every running screen, and nothing done there reaches a session', async () => {
  await open('/wall')
  await soon(async () => expect(await live().count()).toBe(4))
  for (const screens of api.screens.values()) expect(screens.map(screen => screen.role)).toEqual(['view'])
  await page.locator('.tile').first().hover()
  await page.mouse.wheel(0, 40)
  await page.keyboard.type('abc')
  const seen = [...api.screens.values()].flat().map(screen => screen.rfb.seen)
  expect(seen.flatMap(one => [...one.keys, ...one.pointers, ...one.clipboard])).toEqual([])
  await page.locator('.tile', { hasText: 'checkout-test' }).click()
  await page.getByRole('heading', { name: 'checkout-test' }).waitFor()
  await soon(() => expect([...api.screens.values()].flat().map(screen => screen.role)).toEqual(['control']))
})

test('a cluster turns green by itself when its agent arrives', async () => {
  await open('/clusters')
  await page.getByRole('button', { name: 'Add a cluster' }).click()
  await page.getByLabel('Name').fill('eu north')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('Lower-case letters').waitFor()
  await page.getByLabel('Name').fill('eu-north')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('joinToken=').waitFor()
  await page.getByText('Waiting for the agent').waitFor()
  const made = [...api.state.clusters.values()].find(cluster => cluster.name === 'eu-north')
  const model = api.state.clusters.get('clu_01eu')
  if (!made || !model) throw new Error('not made')
  api.tellCluster({ ...model, id: made.id, name: made.name })
  await page.getByText('eu-north is online.').waitFor()
})

test('a token is shown once: after closing it is nowhere on the page', async () => {
  await open('/tokens')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('What for').fill('nightly')
  await page.getByRole('button', { name: 'Make the token' }).click()
  const secret = await page.locator('input[data-secret]').inputValue()
  expect(secret).toMatch(/^vnc-sk-/)
  await page.getByRole('button', { name: 'I have it' }).click()
  await page.locator('.table-name', { hasText: /^nightly$/ }).waitFor()
  expect(await page.content()).not.toContain(secret)
})

test('without TLS, where pages have no clipboard of their own, a copy is a copy all the same', async () => {
  await page.addInitScript("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
  await open('/tokens')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('What for').fill('nightly')
  await page.getByRole('button', { name: 'Make the token' }).click()
  const secret = await page.locator('input[data-secret]').inputValue()
  const copy = page.getByRole('button', { name: 'Copy Token' })
  await copy.click()
  await page.getByRole('status').getByText('Copied', { exact: true }).waitFor({ state: 'attached' })
  expect(await copy.evaluate('document.activeElement?.ariaLabel')).toBe('Copy Token')
  await page.getByRole('button', { name: 'I have it' }).click()
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('What for').focus()
  await page.keyboard.press('Control+V')
  expect(await page.getByLabel('What for').inputValue()).toBe(secret)
})

test('every control of every page has a name, and each page one heading', async () => {
  expect(inNavigation.length).toBeGreaterThan(10)
  for (const [path, label] of inNavigation) {
    await open(path)
    await page.locator('main h1').waitFor()
    expect(await page.locator('h1').count(), path).toBe(1)
    expect(await page.evaluate(namelessControls), path).toEqual([])
    expect(await page.locator('.hull-link[aria-current=page]').textContent(), path).toContain(label)
  }
})

test('every control has a name, and focus is where a dialog opens', async () => {
  await open('/sessions')
  await card('checkout-test').waitFor()
  expect(await page.evaluate(namelessControls)).toEqual([])
  await page.getByRole('button', { name: 'New session' }).first().click()
  expect(await page.evaluate('document.activeElement.name')).toBe('template')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await page.evaluate('document.activeElement.textContent')).toBe('New session')
})
