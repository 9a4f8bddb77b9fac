/** Pools, registries, secrets, webhooks, and the look at a repository before a build. What goes in as a secret is seen nowhere again. */
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Pool } from '../src/api/contract.ts'
import { type BuiltDashboard, buildDashboard, type OpenDashboard, openDashboard, soon } from './built-dashboard.ts'
import { madeSecret } from './fake-builds.ts'

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

const builds = () => dashboard.api.state.builds
const row = (name: string) => page.locator('.table tbody tr', { hasText: name })
const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
const act = async (name: string, verb: string) => {
  await page.getByRole('button', { name: `Actions for ${name}` }).click()
  await page.getByRole('menuitem', { name: verb }).click()
}
/** By how its label begins. */
const field = (label: string) => page.getByRole('textbox', { name: new RegExp(`^${label}`) })
/** Everything that the page holds, values of inputs too. */
const everything = async () =>
  (await page.content()) +
  (await page.evaluate(`[...document.querySelectorAll('input, textarea')].map(one => one.value).join('\\n')`))

test('a pool is made, resized and deleted, and a fault stands at its field', async () => {
  await dashboard.open('/pools')
  await row('chromium').getByText('99 %').waitFor()
  await row('firefox').getByText('Filling').waitFor()
  await press('New pool')
  await press('Make the pool')
  await page.getByText('Choose what is to be kept warm.').waitFor()
  await page.getByLabel('Template').selectOption('webkit')
  await field('Kept ready').fill('13')
  await press('Make the pool')
  await page.getByRole('alert').getByText('eu-west has 12 places.').waitFor()
  await field('Kept ready').fill('4')
  await press('Make the pool')
  await row('webkit').getByText('0 of 4').waitFor()
  await act('the pool of webkit', 'Change')
  await field('Kept ready').fill('1')
  await press('Save')
  await row('webkit').getByText('0 of 1').waitFor()
  await act('the pool of webkit', 'Delete')
  await press('Delete')
  await row('webkit').waitFor({ state: 'detached' })
  expect([...builds().pools.keys()]).toEqual(['pol_01chr', 'pol_02ff', 'pol_03desk'])
})

test('a pool that fills is seen to fill without anybody pressing anything', async () => {
  await dashboard.open('/pools')
  await row('firefox').getByText('1 of 3').waitFor()
  const pool = builds().pools.get('pol_02ff') as Pool
  builds().pools.set(pool.id, { ...pool, ready: 3, starting: 0 })
  await row('firefox').getByText('Full').waitFor()
})

test('a login is kept, tried at once, replaced and forgotten; its password is nowhere', async () => {
  const password = 'correct horse battery'
  await dashboard.open('/registries')
  await press('Add a login')
  await field('Registry').fill('https://Images.Example.com/team')
  await field('User name').fill('robot')
  await press('Keep and try it')
  await page.getByText('Give the password').waitFor()
  await page.getByLabel('Password or token').fill(password)
  await press('Keep and try it')
  await row('images.example.com').getByText('Works').waitFor()
  expect(builds().kept.get('images.example.com')).toBe(password)
  expect(await everything()).not.toContain(password)

  builds().trial = { ok: false, detail: '401 Unauthorized: wrong user name or password.' }
  await act('images.example.com', 'Try the login')
  await row('images.example.com').getByText('401 Unauthorized').waitFor()
  await act('images.example.com', 'Replace it')
  expect(await page.getByLabel('Password or token').inputValue()).toBe('')
  await page.getByLabel('Password or token').fill('another one')
  builds().trial = { ok: true }
  await press('Keep and try it')
  await row('images.example.com').getByText('Works').waitFor()
  await act('images.example.com', 'Forget it')
  await press('Forget it')
  await row('images.example.com').waitFor({ state: 'detached' })
})

test('registries, secrets and webhooks are listed to their last one', async () => {
  const { registries, secrets, webhooks } = builds()
  for (const kept of [registries, secrets, webhooks] as Map<string, { id: string }>[]) {
    const [pattern] = [...kept.values()]
    for (let n = kept.size; n < 101; n++) kept.set(`many_${n}`, { ...pattern!, id: `many_${n}` })
  }
  for (const path of ['/registries', '/secrets', '/webhooks']) {
    await dashboard.open(path)
    await soon(async () => expect(await page.locator('.table tbody tr').count()).toBe(100))
    await press('Load more')
    await soon(async () => expect(await page.locator('.table tbody tr').count()).toBe(101))
    expect(await page.getByRole('button', { name: 'Load more' }).count()).toBe(0)
  }
})

test('a secret goes in over several lines, gets another value, and only its name stays', async () => {
  const value = '-----BEGIN KEY-----\nabc+def/123\n-----END KEY-----'
  await dashboard.open('/secrets')
  await press('New secret')
  await field('Name').fill('deploy-key')
  await field('Value').fill(value)
  await press('Keep it')
  await row('deploy-key').waitFor()
  expect(builds().kept.get('deploy-key')).toBe(value)
  expect(await everything()).not.toContain('abc+def')
  await act('deploy-key', 'Give another value')
  expect(await field('Value').inputValue()).toBe('')
  await press('Cancel')
  await act('deploy-key', 'Forget it')
  await press('Forget it')
  await row('deploy-key').waitFor({ state: 'detached' })
})

test('a webhook: what to paste is shown once, then only its address and what it built', async () => {
  await dashboard.open('/webhooks')
  await press('New webhook')
  await page.locator('label', { hasText: 'GitLab' }).click()
  await field('Repository').fill('git@git.example:team/app.git')
  await press('Make the hook')
  await page.getByRole('alert').getByText('Must be an http').waitFor()
  await field('Repository').fill('https://git.example/team/app.git')
  await page.getByLabel('Push to').fill('registry.example.com/team/app')
  await field('Branches').fill('main, v*')
  await page.locator('label', { hasText: 'Deploy what was built' }).click()
  await press('Make the hook')
  await page.getByText('Secret token as below').waitFor()
  expect(await page.locator('input[data-secret]').inputValue()).toBe(madeSecret)
  await press('I have both')
  await row('git.example/team/app').waitFor()
  expect(await everything()).not.toContain(madeSecret)
  const made = [...builds().webhooks.values()].at(-1)
  expect(made).toMatchObject({
    provider: 'gitlab',
    branches: 'main,v*',
    build: { git: { url: 'https://git.example/team/app.git' }, image: 'registry.example.com/team/app' },
    deploy: { mappings: { web: '{image}' } },
  })

  await act('shop, production', 'Switch off')
  await row('shop, production').getByText('Switched off').waitFor()
  expect(builds().webhooks.get('hok_01shop')?.enabled).toBe(false)
  await act('shop, production', 'Switch on')
  await row('shop, production').getByText('Switched off').waitFor({ state: 'detached' })

  await page.getByRole('button', { name: 'shop, production', exact: true }).click()
  expect(await field('URL for GitHub').inputValue()).toContain('/v1/hooks/hok_01shop')
  await page.getByRole('dialog').getByText('npm ci ended with code 1').waitFor()
  await page.getByRole('link', { name: '4c1f0e2' }).click()
  await page.getByRole('heading', { name: 'git.example/storefront/shop' }).waitFor()
})

test('a look at the repository offers its branches and stages, and what its Dockerfile takes', async () => {
  await dashboard.open('/jobs')
  await press('New job')
  await page.locator('label', { hasText: 'Build' }).click()
  await press('Look at it')
  await page.getByText('Say which repository.').waitFor()
  await field('Repository').fill('https://git.example/team/app.git')
  await press('Look at it')
  await page.getByText('3 branches, main by default').waitFor()
  const offered = (label: string) =>
    page
      .getByLabel(label)
      .evaluate(input =>
        [...((input as unknown as { list: { options: { value: string }[] } }).list.options ?? [])].map(one => one.value),
      )
  expect(await offered('Branch, tag or commit')).toEqual(['main', 'release/1.4', 'try-webkit'])
  expect(await offered('Push to')).toEqual(['registry.example.com/', 'images.lab.internal:5000/'])
  await page.getByLabel('Branch, tag or commit').fill('release/1.4')
  expect(await field('NODE_VERSION').getAttribute('placeholder')).toBe('24')
  await field('COMMIT').fill('3f2a91c')
  await page.getByText('More', { exact: true }).click()
  expect(await offered('Stage')).toEqual(['deps', 'build', 'runtime'])
  expect(await field('Build arguments').inputValue()).toBe('COMMIT=3f2a91c')
  const asked = page.waitForRequest(request => request.method() === 'POST' && request.url().endsWith('/v1/jobs'))
  await press('Build')
  expect((await asked).postDataJSON()).toEqual({
    type: 'build',
    git: { url: 'https://git.example/team/app.git', ref: 'release/1.4' },
    build_args: { COMMIT: '3f2a91c' },
  })
})

test('files are sent as soon as they are chosen, and the job names them', async () => {
  const sent: { url: string; type: string | undefined; body: string | null }[] = []
  await page.route('**/v1/uploads/*', async route => {
    const request = route.request()
    sent.push({ url: new URL(request.url()).pathname, type: request.headers()['content-type'], body: request.postData() })
    await route.fulfill({ status: 201, json: { id: 'upl_01app', object: 'upload', name: 'my-app', bytes: 5 } })
  })
  await dashboard.open('/jobs')
  await press('New job')
  await page.locator('label', { hasText: 'Build' }).click()
  await page.locator('label', { hasText: 'Files to send' }).click()
  expect(await field('Branch').count()).toBe(0)
  await page
    .getByLabel('A folder with a Dockerfile')
    .setInputFiles({ name: 'My App.tar.gz', mimeType: 'application/gzip', buffer: Buffer.from('files') })
  await page.getByText('Sent 5 B').waitFor()
  expect(sent).toEqual([{ url: '/v1/uploads/my-app', type: 'application/gzip', body: 'files' }])
  await field('Push to').or(page.getByLabel('Push to')).first().fill('registry.example.com/team/app')
  const asked = page.waitForRequest(request => request.method() === 'POST' && request.url().endsWith('/v1/jobs'))
  await press('Build')
  expect((await asked).postDataJSON()).toEqual({ type: 'build', upload: 'upl_01app', image: 'registry.example.com/team/app' })
})

test('what could not be looked at says why, and the build may go on without', async () => {
  builds().inspection = { status: 'failed', detail: 'The git server asks for a password: name a secret.' }
  await dashboard.open('/jobs')
  await press('New job')
  await page.locator('label', { hasText: 'Build' }).click()
  await field('Repository').fill('https://git.example/private.git')
  await press('Look at it')
  await page.getByText('The git server asks for a password').waitFor()
  await press('Build')
  await page
    .getByRole('heading', { name: 'job_' })
    .or(page.getByRole('heading', { name: 'git.example' }))
    .first()
    .waitFor()
})

test('a token of few scopes sees what it may, and honest words instead of errors', async () => {
  const { me } = dashboard.api.state
  dashboard.api.state.me = { ...me, scopes: ['jobs:read'], token: { ...me.token, scopes: ['jobs:read'] } }
  dashboard.api.faults.set('GET /v1/secrets', { status: 403, body: { detail: 'This token is bound to certain sessions.' } })
  await dashboard.open('/')
  await page.getByRole('heading', { name: 'Your token may not see this' }).waitFor()
  await page.getByText('sessions:read').waitFor()
  await page.getByRole('link', { name: 'To jobs' }).click()
  await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
  expect(await page.getByRole('navigation').getByRole('link').allTextContents()).toEqual([
    'Jobs',
    'Registries',
    'Secrets',
    'Webhooks',
    'Usage',
  ])
  await page.getByRole('link', { name: 'Registries' }).click()
  await row('registry.example.com').waitFor()
  expect(await page.getByRole('button', { name: /Actions for|Add a login/ }).count()).toBe(0)
  await page.getByRole('link', { name: 'Secrets' }).click()
  await page.getByText('This token is bound to certain sessions.').waitFor()
  expect(await page.getByRole('button', { name: 'Try again' }).count()).toBe(0)
})

test('who may look but not connect sees still pictures, and no ticket is asked for', async () => {
  const { me } = dashboard.api.state
  dashboard.api.state.me = { ...me, scopes: ['sessions:read'], token: { ...me.token, scopes: ['sessions:read'] } }
  await dashboard.open('/sessions/ses_01a')
  await page.getByRole('img', { name: 'Screen of checkout-test' }).waitFor()
  await page.getByText('your token lacks the scope sessions:connect').waitFor()
  expect(await page.getByRole('button', { name: /Share|Extend|Session actions/ }).count()).toBe(0)
  expect(dashboard.api.calls.filter(call => call.includes('tickets') || call.startsWith('WS'))).toEqual([])
})

test('who may not follow events is told so once, not that the server is gone', async () => {
  dashboard.api.faults.set('GET /v1/events', { status: 403 })
  await dashboard.open('/tokens')
  await page.locator('.link-word[data-phase=deaf]').waitFor({ state: 'attached' })
  await soon(() => expect(dashboard.api.calls.filter(call => call === 'GET /v1/events')).toHaveLength(1))
  expect(await page.locator('.link-banner[data-shown]').count()).toBe(0)
})
