/**
 * A whole installation with a real cluster: the API on this machine, the agent as a pod put there by the command that the API shows, a session as a
 * pod; its screen through noVNC, driven by Playwright and CDP; deleted, and nothing left. `PORTHOLE_TEST_HOST` is this machine's address as pods
 * know it; without it the API server's own address is taken, which is right where the node is this machine.
 */
import { KubeConfig } from '@kubernetes/client-node'
import { type Browser, chromium } from 'playwright-core'
import { PNG } from 'pngjs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { setValue, type Values } from '../../deploy/chart.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'
import { browserProgram } from './browser-program.ts'
import { type Colour, painted, share, until } from './pixels.ts'

const blue: Colour = [20, 40, 210]
const green: Colour = [10, 190, 60]

/** How many ask at once, and how many may run: more where the cluster is larger. */
const crowd = Number(process.env.PORTHOLE_TEST_CROWD ?? 6)
const room = Number(process.env.PORTHOLE_TEST_ROOM ?? 2)
const crowdPatience = 120_000 + crowd * 60_000

let porthole: ApiProgram
let place: SessionsNamespace
let cluster: string

/** The words of the command that the API shows, as values of the chart. */
function valuesOf(command: string): Values {
  expect(command).toMatch(
    /^helm install porthole-agent deploy\/helm\/porthole-agent --namespace porthole-system --create-namespace /,
  )
  let values: Values = {}
  for (const [, assignment] of command.matchAll(/ --set (\S+)/g)) values = setValue(values, assignment!)
  return values
}

beforeAll(async () => {
  const config = new KubeConfig()
  config.loadFromFile(process.env.KUBECONFIG!)
  const host = process.env.PORTHOLE_TEST_HOST ?? new URL(config.getCurrentCluster()!.server).hostname
  porthole = await startApiProgram(host)
  const made = await porthole.api('POST', '/v1/clusters', { name: 'real', labels: { where: 'here' } }, {}, porthole.outsideUrl)
  expect(made.status).toBe(201)
  cluster = made.body.id
  place = await sessionsNamespace({
    ...valuesOf(made.body.enrollment.command),
    network: { dial: 'auto' },
    policy: { maxSessions: room, allowedImages: ['registry.invalid/*'] },
  })
  await place.deploy()
  await porthole.eventually(`/v1/clusters/${cluster}`, found => found.status === 'online', 300)
})

afterAll(async () => {
  await place?.dispose()
  await porthole?.stop()
})

// One test's fault must not be the next one's, nor its own second try's.
afterEach(async () => {
  for (const { id } of (await porthole.api('GET', '/v1/pools')).body.data) await porthole.api('DELETE', `/v1/pools/${id}`)
  for (const { id } of (await porthole.api('GET', '/v1/sessions?limit=100')).body.data)
    await porthole.api('DELETE', `/v1/sessions/${id}`)
  await porthole.eventually('/v1/status', ({ active, queued }) => active === 0 && queued === 0)
})

const chromiumSession = { template: 'chromium', start_timeout_seconds: 300 }
async function session(body: object = {}) {
  const made = await porthole.api('POST', '/v1/sessions', { ...chromiumSession, ...body })
  expect([made.status, made.body.detail]).toEqual([201, undefined])
  const seen = await porthole.eventually(
    `/v1/sessions/${made.body.id}`,
    each => !['queued', 'starting'].includes(each.status),
    300,
  )
  expect([seen.status, seen.status_reason]).toEqual(['running', null])
  return seen
}

it('the cluster tells what it is, and what it cannot', async () => {
  const { body } = await porthole.api('GET', `/v1/clusters/${cluster}`)
  expect(body).toMatchObject({ runtime: 'kubernetes', connected: true, capacity: { sessions: room } })
  expect(body.capabilities.kinds).toEqual(['browser', 'desktop', 'app'])
  expect(body.capabilities.versions.kubernetes).toMatch(/^1\.\d+/)
  expect(body.capabilities.notes.join()).toMatch(/NetworkPolicy/)
})

describe('a session as a pod', () => {
  it('runs, is seen by people, driven by scripts, and goes without a trace', async () => {
    const made = await session({ start_url: painted(blue), name: 'watched' })
    const { id } = made
    expect(made.pod).toMatchObject({ namespace: place.sessions, phase: 'Running' })
    expect(made.phases.map((each: { phase: string }) => each.phase)).toEqual(
      expect.arrayContaining(['scheduled', 'container_started', 'display_ready', 'browser_ready', 'ready']),
    )
    const picture = await fetch(`${porthole.url}/v1/sessions/${id}/screenshot`, { headers: porthole.headers })
    expect(share(new Uint8Array(await picture.arrayBuffer()), blue)).toBeGreaterThan(0.6)

    const person = await chromium.launch({ executablePath: browserProgram(), args: ['--no-sandbox', '--disable-gpu'] })
    try {
      const page = await person.newPage({ viewport: { width: 1400, height: 900 } })
      page.setDefaultTimeout(120_000)
      await page.goto(porthole.url)
      await page.getByRole('textbox').first().fill(porthole.token)
      await page.keyboard.press('Enter')
      await page.getByText('watched').first().waitFor()
      await page.goto(`${porthole.url}/sessions/${id}`)
      const canvas = page.locator('canvas').first()
      await canvas.waitFor()
      await until('blue through noVNC', async () => share(await canvas.screenshot(), blue) > 0.5, 120)

      const { headers } = porthole
      const script: Browser = await chromium.connect(made.urls.playwright, { headers, timeout: 120_000 })
      await script.contexts()[0]!.pages()[0]!.goto(painted(green))
      await until('green follows', async () => share(await canvas.screenshot(), green) > 0.5, 120)
      await script.close()
      const cdp = await chromium.connectOverCDP(made.urls.cdp, { headers, timeout: 120_000 })
      expect(await cdp.contexts()[0]!.pages()[0]!.evaluate('6 * 7')).toBe(42)
      await cdp.close()
    } finally {
      await person.close()
    }
    const logs = await fetch(`${porthole.url}/v1/sessions/${id}/logs?tail_lines=5`, { headers: porthole.headers })
    expect([logs.status, (await logs.text()).length > 0]).toEqual([200, true])
    const file = `${porthole.url}/v1/sessions/${id}/files/notes/a.txt`
    expect((await fetch(file, { method: 'PUT', headers: porthole.headers, body: 'through the tunnel' })).status).toBe(204)
    expect(await (await fetch(file, { headers: porthole.headers })).text()).toBe('through the tunnel')

    expect((await porthole.api('DELETE', `/v1/sessions/${id}`)).status).toBe(204)
    await place.untilGone()
  })

  it('whose pod somebody deletes says so', async () => {
    const { id, pod } = await session()
    await place.admin.ask('DELETE', `/api/v1/namespaces/${place.sessions}/pods/${pod.name}?gracePeriodSeconds=0`)
    const over = await porthole.eventually(`/v1/sessions/${id}`, found => found.status === 'failed')
    expect(over.status_reason).toContain('deleted by somebody else')
    await porthole.api('DELETE', `/v1/sessions/${id}`)
    await place.untilGone()
  })

  it('whose image does not exist says which and why; one that this cluster forbids never begins', async () => {
    const template = (image: string) => ({ name: 'Other', kind: 'browser', image })
    await porthole.template({ id: 'other', ...template('registry.invalid/none:1') })
    const made = await porthole.api('POST', '/v1/sessions', { template: 'other', start_timeout_seconds: 60 })
    const waiting = await porthole.eventually(`/v1/sessions/${made.body.id}`, found => /pulled/.test(found.status_reason ?? ''))
    expect(waiting).toMatchObject({
      status: 'starting',
      status_reason: expect.stringMatching(/registry\.invalid\/none:1 cannot be pulled/),
    })
    const over = await porthole.eventually(`/v1/sessions/${made.body.id}`, found => found.status === 'failed')
    expect(over.status_reason).toContain('registry.invalid/none:1')
    await porthole.api('PUT', '/v1/templates/other', template('elsewhere.invalid/none:1'))
    const asked = await porthole.api('POST', '/v1/sessions', { template: 'other' })
    const forbidden = await porthole.eventually(`/v1/sessions/${asked.body.id}`, found => found.status === 'failed')
    expect(forbidden.status_reason).toContain('does not allow the image elsewhere.invalid/none:1')
    for (const { id } of [made.body, forbidden]) await porthole.api('DELETE', `/v1/sessions/${id}`)
    await place.untilGone()
  })

  it('lives on when the agent is killed; the next one, waiting for nobody, finds it', async () => {
    const { id, pod } = await session()
    const agents = `/api/v1/namespaces/${place.system}/pods`
    const before = (await place.admin.ask('GET', agents)).body.items as { metadata: { name: string } }[]
    for (const { metadata } of before) await place.admin.ask('DELETE', `${agents}/${metadata.name}?gracePeriodSeconds=0`)
    await porthole.eventually(`/v1/clusters/${cluster}`, found => !found.connected)
    await porthole.eventually(`/v1/clusters/${cluster}`, found => found.connected, 300)
    const found = await porthole.eventually(`/v1/sessions/${id}`, seen => seen.status === 'running')
    expect(found.pod.name).toBe(pod.name)
    const browser = await chromium.connectOverCDP(found.urls.cdp, { headers: porthole.headers, timeout: 120_000 })
    expect(browser.contexts()).toHaveLength(1)
    await browser.close()
    await porthole.api('DELETE', `/v1/sessions/${id}`)
    await place.untilGone()
  })
})

it('a warm one is there at once, with its late settings', async () => {
  const pool = await porthole.api('POST', '/v1/pools', { template: 'chromium', cluster: 'real', size: 1 })
  expect(pool.status).toBe(201)
  await porthole.eventually(`/v1/pools/${pool.body.id}`, found => found.ready === 1, 300)
  // Nobody waits here for anything: what is answered `running` ran before it was asked for.
  const made = await porthole.api('POST', '/v1/sessions', {
    template: 'chromium',
    start_url: painted(green),
    display: { width: 900, height: 600 },
  })
  expect([made.status, made.body.status]).toEqual([201, 'running'])
  await until(
    'its page at its size',
    async () => {
      const response = await fetch(`${porthole.url}/v1/sessions/${made.body.id}/screenshot`, { headers: porthole.headers })
      const png = new Uint8Array(await response.arrayBuffer())
      return response.ok && PNG.sync.read(Buffer.from(png)).width === 900 && share(png, green) > 0.5
    },
    120,
  )
  expect((await porthole.api('DELETE', `/v1/pools/${pool.body.id}`)).status).toBe(204)
  await porthole.api('DELETE', `/v1/sessions/${made.body.id}`)
  await place.untilGone()
})

it('more sessions than room: they wait in order, with numbers, and all get their turn', { timeout: crowdPatience }, async () => {
  // As many as may run find room on the smallest node: it is the line that is tried here, not the scheduler.
  const small = { id: 'small', name: 'Small', kind: 'browser', headless: true, requests: { cpu: '100m', memory: '128Mi' } }
  await porthole.template(small)
  const asked = await Promise.all(
    Array.from({ length: crowd }, () => porthole.api('POST', '/v1/sessions', { ...chromiumSession, template: 'small' })),
  )
  expect(new Set(asked.map(({ status }) => status))).toEqual(new Set([201]))
  const made = asked.map(({ body }) => body as { id: string; created_at: string })
  // Ids are sortable by time, within a millisecond as within a day.
  const ids = made.sort((a, b) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id)).map(({ id }) => id)
  const last = (await porthole.api('GET', `/v1/sessions/${ids.at(-1)}`)).body
  expect(last).toMatchObject({ status: 'queued', queue: { position: crowd - room } })
  expect(last.queue.reason).toContain(`real ${room} of ${room} sessions`)
  for (const [turn, id] of ids.entries()) {
    await porthole.eventually(`/v1/sessions/${id}`, found => found.status === 'running', 300)
    const { data } = (await porthole.api('GET', '/v1/sessions?limit=100')).body as { data: { id: string; status: string }[] }
    const begun = data.filter(({ status }) => status !== 'queued').map(each => ids.indexOf(each.id))
    expect(Math.max(...begun)).toBeLessThan(turn + room)
    const pods = (await place.left()).filter(name => name.startsWith('pods/ses-'))
    expect(pods.length).toBeLessThanOrEqual(room)
    await porthole.api('DELETE', `/v1/sessions/${id}`)
  }
  await place.untilGone()
})
