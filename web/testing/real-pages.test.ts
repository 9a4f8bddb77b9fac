/**
 * The built dashboard as the real API serves it, policy and all, in a real Chromium: every page is opened, and not one violation of the policy,
 * fault of a script or error on the console may be left. What the policy must stop is tried, too.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type NodeApi, nodeApi } from '../../api/testing/node-api.ts'
import { type BuiltDashboard, buildDashboard, soon } from './built-dashboard.ts'

/** Every address that the dashboard knows, as its table says. */
const table = readFileSync(new URL('../src/pages.tsx', import.meta.url), 'utf8')
const paths = [...table.matchAll(/^ +path: '([^']+)'/gm)].map(match => match[1]!)

let built: BuiltDashboard
let api: NodeApi
let context: BrowserContext
let page: Page
let complaints: string[]

beforeAll(async () => {
  built = await buildDashboard()
  api = await nodeApi({ webFolder: built.dist })
})
afterAll(async () => {
  await api?.close()
  await built?.close()
})
beforeEach(async () => {
  context = await built.browser.newContext()
  // Reported by the browser itself, also where nothing is written to the console.
  await context.addInitScript(`addEventListener('securitypolicyviolation', event =>
    console.error('violation', event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber))`)
  page = await context.newPage()
  complaints = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text())
  })
})
afterEach(() => context.close())

async function signIn(): Promise<void> {
  await page.goto(api.url)
  await page.getByLabel('Token').fill(api.admin)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Sessions' }).waitFor()
  // Before signing in the page asks who it is, and the browser writes the 401 to the console.
  complaints = complaints.filter(text => !text.includes('401'))
}

test('every page of the dashboard lives under the policy of the real server', async () => {
  await signIn()
  const agent = await api.agent()
  const session = await api.session(agent.cluster)
  expect(paths.length).toBeGreaterThan(10)
  for (const path of paths) {
    const id = path.startsWith('/sessions') ? session : 'none'
    await page.goto(api.url + path.replace(':id', id))
    await page.locator('main :is(h1, h2)').first().waitFor()
    await page.waitForLoadState('load')
  }
  // A job, terminal … of no such id is a 404, which the browser writes to the console; a screen without a program behind it does not open.
  const real = complaints.filter(text => !/Failed to load resource|WebSocket connection/.test(text))
  expect(real).toEqual([])
})

test('the page behind a share link, and the reference, too', async () => {
  await page.goto(`${api.url}/join#vnc-lk-${'x'.repeat(49)}`)
  await page.getByRole('heading', { name: 'This link does not work' }).waitFor()
  await page.goto(`${api.url}/docs`)
  await page.locator('h1').first().waitFor()
  expect(complaints.filter(text => !text.includes('404'))).toEqual([])
})

test('what somebody brings onto the page does not run: markup, scripts from elsewhere and from here, code as text', async () => {
  await signIn()
  const tried = await page.evaluate(`(() => {
    const outcome = {}
    const attempt = (name, act) => { try { act(); outcome[name] = 'allowed' } catch (error) { outcome[name] = error.name } }
    attempt('innerHTML', () => { document.body.innerHTML = '<img src=x onerror="window.pwned=1">' })
    attempt('code', () => setTimeout('window.pwned = 2'))
    attempt('policy', () => trustedTypes.createPolicy('mine', { createHTML: text => text }))
    attempt('script', () => { document.createElement('script').src = '/assets/x.js' })
    return outcome
  })()`)
  expect(tried).toMatchObject({ innerHTML: 'TypeError', code: 'TypeError', policy: 'TypeError', script: 'TypeError' })
  expect(await page.evaluate('window.pwned')).toBeUndefined()
  await soon(() => expect(complaints.filter(text => text.startsWith('violation')).length).toBeGreaterThan(2))
})

test('no other page may frame it', async () => {
  const answer = await fetch(api.url, { headers: { accept: 'text/html' } })
  expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
  expect(answer.headers.get('x-frame-options')).toBe('DENY')
  await page.route('http://evil.test/', route =>
    route.fulfill({ contentType: 'text/html', body: `<iframe src="${api.url}/"></iframe><p>evil</p>` }),
  )
  await page.goto('http://evil.test/')
  await page.getByText('evil').waitFor()
  await soon(() =>
    expect(page.frames().map(frame => frame.url())).toEqual(['http://evil.test/', 'chrome-error://chromewebdata/']),
  )
})

test('of noVNC only the library is there, never a page of its own', async () => {
  const files = readdirSync(built.dist, { recursive: true }).map(String)
  expect(files.filter(file => file.endsWith('.html'))).toEqual(['index.html'])
  await signIn()
  await page.goto(`${api.url}/vnc.html`)
  expect(await page.locator('#noVNC_control_bar').count()).toBe(0)
})
