/**
 * Every page and state as PNGs, to be looked at: `node web/testing/take-pictures.ts FOLDER [part of a name]`. Needs `vite build web` first.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from './chromium.ts'
import { type FakeApi, startFakeApi } from './fake-api.ts'
import { samplePictures } from './sample-pages.ts'
import { sampleSecret, sampleSession, sampleState } from './sample-state.ts'

interface Scene {
  name: string
  path: string
  signedOut?: boolean
  before?: (api: FakeApi) => void
  act?: (page: Page, api: FakeApi) => Promise<void>
}

const press = (name: string | RegExp) => (page: Page) => page.getByRole('button', { name }).first().click()
const settle = (page: Page) => page.waitForTimeout(700)
const tab = (name: string) => async (page: Page) => {
  await page.getByRole('tab', { name }).click()
  await settle(page)
}

const scenes: readonly Scene[] = [
  { name: 'login', path: '/', signedOut: true },
  {
    name: 'login-refused',
    path: '/',
    signedOut: true,
    act: async page => {
      await page.getByLabel('Token').fill('vnc-sk-wrong')
      await press('Sign in')(page)
    },
  },
  { name: 'sessions', path: '/sessions' },
  { name: 'sessions-all', path: '/sessions?show=all' },
  {
    name: 'sessions-rows',
    path: '/sessions?show=all',
    act: async page => {
      await page.locator('label:has(input[value=rows])').click()
    },
  },
  { name: 'sessions-empty', path: '/sessions', before: api => api.state.sessions.clear() },
  { name: 'sessions-nothing-matches', path: '/sessions?q=zebra' },
  { name: 'sessions-loading', path: '/sessions', before: api => api.faults.set('GET /v1/sessions', 'hang') },
  { name: 'sessions-failed', path: '/sessions', before: api => api.faults.set('GET /v1/sessions', { status: 500 }) },
  {
    name: 'sessions-offline',
    path: '/sessions',
    act: async (page, api) => {
      api.cut(true)
      await page.waitForSelector('.link-banner[data-shown]')
    },
  },
  { name: 'sessions-many', path: '/sessions', before: api => many(api, 90) },
  {
    name: 'sessions-menu',
    path: '/sessions',
    act: async page => page.getByRole('button', { name: 'Actions for checkout-test' }).click(),
  },
  { name: 'new-session', path: '/sessions', act: press('New session') },
  {
    name: 'new-session-refused',
    path: '/sessions',
    act: async page => {
      await press('New session')(page)
      await page.getByText('More', { exact: true }).click()
      await page.getByLabel('First page').fill('file:///etc/passwd')
      await press('Start')(page)
    },
  },
  {
    name: 'end-confirm',
    path: '/sessions',
    act: async page => {
      await page.getByRole('button', { name: 'Actions for checkout-test' }).click()
      await page.getByRole('menuitem', { name: 'End and delete' }).click()
    },
  },
  { name: 'session', path: '/sessions/ses_01a' },
  { name: 'session-history', path: '/sessions/ses_01a', act: tab('History') },
  { name: 'session-logs', path: '/sessions/ses_01a', act: tab('Logs') },
  { name: 'session-details', path: '/sessions/ses_01a', act: tab('Details') },
  {
    name: 'session-clipboard',
    path: '/sessions/ses_01a',
    act: async page => {
      await settle(page)
      await press('Clipboard')(page)
    },
  },
  {
    name: 'session-reconnecting',
    path: '/sessions/ses_01a',
    act: async (page, api) => {
      await page.waitForSelector('.screen[data-phase=live]')
      await settle(page)
      api.faults.set('POST /v1/sessions/ses_01a/tickets', { status: 503, body: { detail: 'The cluster is offline.' } })
      for (const screen of api.screens.get('ses_01a') ?? []) screen.close(4503, 'cluster_offline')
      await page.waitForSelector('.screen[data-phase=waiting]')
    },
  },
  { name: 'session-starting', path: '/sessions/ses_05e' },
  { name: 'session-queued', path: '/sessions/ses_06f' },
  { name: 'session-failed', path: '/sessions/ses_09i' },
  { name: 'session-long-name', path: '/sessions/ses_10j' },
  { name: 'session-headless', path: '/sessions/ses_07g' },
  { name: 'session-unreachable', path: '/sessions/ses_08h' },
  { name: 'session-gone', path: '/sessions/ses_none' },
  {
    name: 'session-viewers',
    path: '/sessions/ses_01a',
    act: async (page, api) => {
      const guest = await page.context().newPage()
      await guest.goto(`${api.url}/join#${sampleSecret.replace('sample', 'control').slice(0, -1)}`)
      await guest.waitForSelector('.screen[data-phase=live]')
      await page.bringToFront()
      await tab('Viewers')(page)
      await page.getByRole('button', { name: 'Give control' }).click()
    },
  },
  { name: 'jobs', path: '/jobs' },
  { name: 'jobs-empty', path: '/jobs', before: api => api.state.jobs.clear() },
  { name: 'job', path: '/jobs/job_01run' },
  {
    name: 'job-search',
    path: '/jobs/job_01run',
    act: async page => page.getByLabel('Search the log').fill('suite 1'),
  },
  { name: 'job-manifest', path: '/jobs/job_07man' },
  { name: 'job-queued', path: '/jobs/job_02wait' },
  { name: 'job-new', path: '/jobs', act: press('New job') },
  {
    name: 'job-new-manifest',
    path: '/jobs',
    act: async page => {
      await press('New job')(page)
      await page.locator('label', { hasText: 'Manifest' }).click()
      await page.getByLabel('YAML').fill('apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  replicas: 3\n')
      await press('Show what would change')(page)
    },
  },
  { name: 'volumes', path: '/volumes' },
  { name: 'volumes-empty', path: '/volumes', before: api => api.state.volumes.clear() },
  { name: 'volume-new', path: '/volumes', act: press('New volume') },
  {
    name: 'volume-upload',
    path: '/volumes',
    act: async page => {
      await page.getByRole('button', { name: 'Actions for shop sign-ins' }).click()
      await page.getByRole('menuitem', { name: 'Replace' }).click()
    },
  },
  { name: 'share', path: '/sessions/ses_01a', act: press('Share') },
  {
    name: 'share-made',
    path: '/sessions/ses_01a',
    act: async page => {
      await press('Share')(page)
      await page.locator('label', { hasText: 'Control' }).click()
      await press('Make a link')(page)
    },
  },
  { name: 'join', path: `/join#${sampleSecret}`, signedOut: true },
  { name: 'join-control', path: `/join#${sampleSecret.replace('sample', 'control').slice(0, -1)}`, signedOut: true },
  {
    name: 'join-ask',
    path: `/join#${sampleSecret.replace('sample', 'control').slice(0, -1)}`,
    signedOut: true,
    before: api => {
      const session = api.state.sessions.get('ses_01a')
      if (session) api.state.sessions.set('ses_01a', { ...session, control: { mode: 'single', viewer: null } })
    },
    act: async page => page.getByRole('button', { name: 'Ask for control' }).waitFor(),
  },
  {
    name: 'join-waiting',
    path: `/join#${sampleSecret}`,
    signedOut: true,
    before: api => {
      const session = api.state.sessions.get('ses_01a')
      if (session) api.state.sessions.set('ses_01a', { ...session, status: 'starting' })
    },
  },
  {
    name: 'join-revoked',
    path: `/join#${sampleSecret}`,
    signedOut: true,
    act: async (page, api) => {
      await page.waitForSelector('.screen[data-phase=live]')
      api.state.links.clear()
      for (const screen of api.screens.get('ses_01a') ?? []) screen.close(4403, 'revoked')
    },
  },
  { name: 'join-gone', path: `/join#vnc-lk-${'gone'.padEnd(49, '0')}`, signedOut: true },
  { name: 'join-incomplete', path: '/join#vnc-lk-', signedOut: true },
  { name: 'wall', path: '/wall' },
  { name: 'wall-empty', path: '/wall', before: api => api.state.sessions.clear() },
  { name: 'clusters', path: '/clusters' },
  { name: 'clusters-empty', path: '/clusters', before: api => api.state.clusters.clear() },
  {
    name: 'cluster-add',
    path: '/clusters',
    act: async page => {
      await press('Add a cluster')(page)
      await page.getByLabel('Name').fill('eu-north')
      await press('Next')(page)
    },
  },
  {
    name: 'cluster-arrived',
    path: '/clusters',
    act: async (page, api) => {
      await press('Add a cluster')(page)
      await page.getByLabel('Name').fill('eu-north')
      await press('Next')(page)
      await page.getByText('Waiting for the agent').waitFor()
      const made = [...api.state.clusters.values()].at(-1)
      const model = api.state.clusters.get('clu_01eu')
      if (made && model) api.tellCluster({ ...model, id: made.id, name: made.name })
    },
  },
  { name: 'tokens', path: '/tokens' },
  { name: 'token-new', path: '/tokens', act: press('New token') },
  {
    name: 'token-secret',
    path: '/tokens',
    act: async page => {
      await press('New token')(page)
      await page.getByLabel('What for').fill('nightly')
      await press('Make the token')(page)
    },
  },
  {
    name: 'token-revoke',
    path: '/tokens?show=all',
    act: async page => {
      await page.getByRole('button', { name: 'Actions for Price research agent' }).click()
      await page.getByRole('menuitem', { name: 'Revoke' }).click()
    },
  },
  { name: 'projects', path: '/projects' },
  { name: 'project-new', path: '/projects', act: press('New project') },
  {
    name: 'project-delete',
    path: '/projects',
    act: async page => {
      await page.getByRole('button', { name: 'Actions for Atlas' }).click()
      await page.getByRole('menuitem', { name: 'Delete' }).click()
    },
  },
  {
    name: 'audit',
    path: '/audit',
    act: async page => page.locator('.audit-open').nth(1).click(),
  },
  { name: 'audit-nothing', path: '/audit?actor=nobody' },
  { name: 'session-files', path: '/sessions/ses_01a', act: tab('Files') },
  {
    name: 'job-new-build',
    path: '/jobs',
    act: async page => {
      await press('New job')(page)
      await page.locator('label', { hasText: 'Build' }).click()
      await page.getByLabel('Repository', { exact: true }).fill('https://git.example/storefront/shop.git')
      await press('Look at it')(page)
      await page.getByText('3 branches').waitFor()
    },
  },
  { name: 'pools', path: '/pools' },
  { name: 'pools-empty', path: '/pools', before: api => api.state.builds.pools.clear() },
  { name: 'pools-loading', path: '/pools', before: api => api.faults.set('GET /v1/pools', 'hang') },
  { name: 'pools-failed', path: '/pools', before: api => api.faults.set('GET /v1/pools', { status: 500 }) },
  { name: 'pool-new', path: '/pools', act: press('New pool') },
  {
    name: 'registries',
    path: '/registries',
    before: api => Object.assign(api.state.builds.trial, { ok: false, detail: '401 Unauthorized: wrong user name or password.' }),
    act: async page => {
      await page.getByRole('button', { name: 'Actions for registry.example.com' }).click()
      await page.getByRole('menuitem', { name: 'Try the login' }).click()
    },
  },
  { name: 'registries-empty', path: '/registries', before: api => api.state.builds.registries.clear() },
  { name: 'registry-new', path: '/registries', act: press('Add a login') },
  { name: 'secrets', path: '/secrets' },
  { name: 'secret-new', path: '/secrets', act: press('New secret') },
  { name: 'webhooks', path: '/webhooks' },
  { name: 'webhooks-empty', path: '/webhooks', before: api => api.state.builds.webhooks.clear() },
  { name: 'webhook-look', path: '/webhooks', act: press('shop, production') },
  { name: 'webhook-new', path: '/webhooks', act: press('New webhook') },
  {
    name: 'webhook-secret',
    path: '/webhooks',
    act: async page => {
      await press('New webhook')(page)
      await page.getByLabel('Repository', { exact: true }).fill('https://git.example/storefront/shop.git')
      await press('Make the hook')(page)
    },
  },
  ...['sessions', 'jobs', 'volumes', 'pools', 'registries', 'secrets', 'webhooks', 'tokens', 'projects', 'clusters', 'wall'].map(
    name => ({
      name: `odd-${name}`,
      path: `/${name}`,
      before: odd,
    }),
  ),
  { name: 'odd-session', path: '/sessions/ses_01a', before: odd },
  { name: 'few-scopes', path: '/', before: api => few(api, ['jobs:read']) },
  { name: 'few-scopes-session', path: '/sessions/ses_01a', before: api => few(api, ['sessions:read']) },
  { name: 'few-scopes-tokens', path: '/tokens', before: api => few(api, ['sessions:read', 'jobs:read']) },
  { name: 'not-found', path: '/nowhere' },
]

/** Names as nobody wishes for: long, from right to left, dressed up as markup. */
function odd(api: FakeApi): void {
  const names = [
    '<img src=x onerror=alert(1)><b>bold</b>',
    'اختبار الدفع في متجر الواجهة البحرية قبل الإطلاق',
    'a-name-without-a-single-place-to-break-it-that-somebody-made-by-a-script-0123456789-0123456789-0123456789',
    'right \u202eot tfel\u202c and 日本語のとても長い名前がここにあります。それでも続きます。',
  ]
  let turn = 0
  const next = () => names[turn++ % names.length] as string
  const { state } = api
  for (const map of [state.sessions, state.jobs, state.volumes, state.builds.webhooks, state.clusters])
    for (const [id, one] of map) (map as Map<string, object>).set(id, { ...one, name: next() })
  for (const [id, one] of state.builds.secrets) state.builds.secrets.set(id, { ...one, name: next() })
  for (const [id, one] of state.builds.pools) state.builds.pools.set(id, { ...one, template: next(), status_reason: next() })
  for (const [id, one] of state.builds.registries) state.builds.registries.set(id, { ...one, host: next(), username: next() })
  state.tokens = state.tokens.map(one => ({ ...one, name: next(), user: next() }))
  state.projects = state.projects.map(one => ({ ...one, name: next() }))
  state.me = { ...state.me, user: next(), project: { ...state.me.project, name: next() } }
}

function few(api: FakeApi, scopes: FakeApi['state']['me']['scopes']): void {
  const { me } = api.state
  api.state.me = { ...me, scopes, token: { ...me.token, scopes } }
}

function many(api: FakeApi, count: number): void {
  for (let index = 0; index < count; index++) {
    const id = `ses_9${String(index).padStart(3, '0')}`
    const created_at = new Date(Date.now() - 1_000_000 - index * 60_000).toISOString()
    api.state.sessions.set(
      id,
      sampleSession(Date.now(), { id, name: `load-${index}`, created_at, status: index % 9 === 0 ? 'starting' : 'running' }),
    )
  }
}

const sizes = [
  { name: 'wide', width: 1440, height: 900 },
  { name: 'mid', width: 1024, height: 768 },
  { name: 'phone', width: 360, height: 740 },
] as const

async function take(
  browser: Browser,
  scene: Scene,
  size: (typeof sizes)[number],
  scheme: 'light' | 'dark',
  folder: string,
  pictures: Awaited<ReturnType<typeof samplePictures>>,
): Promise<void> {
  const api = await startFakeApi(sampleState(Date.now(), pictures), fileURLToPath(new URL('../dist', import.meta.url)))
  const context = await browser.newContext({
    viewport: size,
    colorScheme: scheme,
    hasTouch: size.name === 'phone',
    isMobile: size.name === 'phone',
  })
  if (!scene.signedOut) await context.addCookies([{ name: 'porthole', value: 'yes', url: api.url }])
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', message => {
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text()))
      complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(String(error)))
  scene.before?.(api)
  await page.goto(api.url + scene.path)
  await settle(page)
  await scene.act?.(page, api)
  await settle(page)
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  if (over > 0) complaints.push(`the page is ${over} px too wide`)
  await page.screenshot({ path: join(folder, `${scene.name}-${size.name}-${scheme}.png`) })
  for (const complaint of complaints) console.log(`${scene.name} ${size.name} ${scheme}: ${complaint}`)
  await context.close()
  await api.close()
}

const [folder = 'pictures', only = '', onlySize = '', onlyScheme = ''] = process.argv.slice(2)
await mkdir(folder, { recursive: true })
const browser = await launchChromium()
const pictures = await samplePictures(browser)
for (const scene of scenes.filter(one => one.name.includes(only))) {
  for (const size of sizes.filter(one => one.name.includes(onlySize))) {
    for (const scheme of (['light', 'dark'] as const).filter(one => one.includes(onlyScheme)))
      await take(browser, scene, size, scheme, folder, pictures)
  }
}
await browser.close()
