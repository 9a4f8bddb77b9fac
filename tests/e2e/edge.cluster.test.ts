/**
 * The main job on Workers' runtime with a real cluster: the API in workerd on this machine, the agent a pod put there by the command that the API
 * shows; a session as a pod, seen live, driven by Playwright, 30 MB out of it, deleted, and nothing left.
 */
import { createHash } from 'node:crypto'
import { KubeConfig } from '@kubernetes/client-node'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setValue, type Values } from '../../deploy/chart.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'
import { freePort } from '../../setup/port.ts'
import { browserProgram } from './browser-program.ts'
import { type Installation, install } from './installation.ts'
import { type Colour, painted, share, until } from './pixels.ts'

const blue: Colour = [20, 40, 210]
const green: Colour = [10, 190, 60]
/** 30 MB that both sides can write down. */
const counted = new Uint8Array(30 * 1024 * 1024).map((_, at) => at % 251)

let porthole: Installation
let place: SessionsNamespace
let person: Browser

beforeAll(async () => {
  const config = new KubeConfig()
  config.loadFromFile(process.env.KUBECONFIG!)
  const host = process.env.PORTHOLE_TEST_HOST ?? new URL(config.getCurrentCluster()!.server).hostname
  const port = await freePort('0.0.0.0')
  const env = { PORT: String(port), HOST: '0.0.0.0', PUBLIC_URL: `http://${host}:${port}` }
  porthole = await install({ program: 'setup/dev-edge.ts', env })
  const made = await porthole.api('POST', '/v1/clusters', { name: 'real' })
  expect(made.status).toBe(201)
  let values: Values = { network: { dial: 'auto' } }
  for (const [, assignment] of made.body.enrollment.command.matchAll(/ --set (\S+)/g)) values = setValue(values, assignment!)
  place = await sessionsNamespace(values)
  await place.deploy()
  await until('the agent came', async () => (await porthole.api('GET', `/v1/clusters/${made.body.id}`)).body.connected, 180)
  person = await chromium.launch({ executablePath: browserProgram(), args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] })
}, 400_000)

afterAll(async () => {
  await person?.close()
  await place?.dispose()
  await porthole?.stop()
}, 90_000)

it('create, watch live, drive with Playwright, download 30 MB, delete: nothing is left', async () => {
  const session = await porthole.session({ cluster: 'real', start_url: painted(blue), name: 'watched' })
  expect(session.pod).toMatchObject({ namespace: place.sessions, phase: 'Running' })

  const page = await person.newPage({ viewport: { width: 1400, height: 900 } })
  await page.goto(porthole.url)
  await page.getByRole('textbox').first().fill(porthole.token)
  await page.keyboard.press('Enter')
  await page.getByText('watched').first().waitFor()
  await page.goto(`${porthole.url}/sessions/${session.id}`)
  const canvas = page.locator('canvas').first()
  await canvas.waitFor()
  await until('blue through noVNC', async () => share(await canvas.screenshot(), blue) > 0.5)

  const script = await chromium.connect(session.urls.playwright, { headers: porthole.headers })
  const inside = script.contexts()[0]!.pages()[0]!
  await inside.goto(painted(green))
  await until('green follows', async () => share(await canvas.screenshot(), green) > 0.5)
  const [download] = await Promise.all([
    inside.waitForEvent('download'),
    inside.evaluate(`{
      const link = document.createElement('a')
      link.href = URL.createObjectURL(new Blob([new Uint8Array(${counted.length}).map((_, at) => at % 251)]))
      link.download = 'big.bin'
      link.click()
    }`),
  ])
  const hash = createHash('sha256')
  for await (const chunk of await download.createReadStream()) hash.update(chunk)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(counted).digest('hex'))
  await script.close()

  expect((await porthole.api('DELETE', `/v1/sessions/${session.id}`)).status).toBe(204)
  await until('nothing is left', async () => (await place.left()).length === 0, 120)
}, 400_000)
