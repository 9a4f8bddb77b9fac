/**
 * The main job with the API in workerd (`npm run dev:edge`): a session, seen live in the dashboard, driven by a Playwright client, 30 MB through it; then
 * a release under ten people who watch. Bytes go browser -> workerd -> the agent's outbound WebSockets -> session.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import { PNG } from 'pngjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { RfbViewer } from '../../agent/testing/rfb-viewer.ts'
import { browserProgram } from './browser-program.ts'
import { type Installation, install } from './installation.ts'
import { type Colour, share, until } from './pixels.ts'
import { buildsWhatIsSent } from './sent-build.ts'

const red: Colour = [200, 30, 40]
const blue: Colour = [20, 40, 210]
const big = randomBytes(30 * 1024 * 1024)

let porthole: Installation
let site: Server
let siteUrl: string
let person: Browser
let page: Page

beforeAll(async () => {
  site = createServer((request, response) => {
    response.setHeader('content-type', 'text/html')
    if (request.url === '/big') {
      response.setHeader('content-type', 'application/octet-stream')
      response.setHeader('content-disposition', 'attachment; filename="big.bin"')
      response.end(big)
    } else response.end(`<!doctype html><title>site</title><body style="background:rgb(${request.url === '/red' ? red : blue})">`)
  })
  site.listen(0, '127.0.0.1')
  await new Promise(done => site.once('listening', done))
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  porthole = await install({ program: 'setup/dev-edge.ts' })
  person = await chromium.launch({ executablePath: browserProgram(), args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] })
  page = await person.newPage({ viewport: { width: 1400, height: 900 } })
  await page.goto(porthole.url)
  await page.getByRole('textbox').first().fill(porthole.token)
  await page.keyboard.press('Enter')
}, 240_000)

afterAll(async () => {
  site?.close()
  await person?.close()
  const { code, left } = await porthole.stop()
  expect({ code, left }).toEqual({ code: 0, left: [] })
}, 60_000)

async function shows(id: string, colour: Colour, what: string): Promise<void> {
  await page.goto(`${porthole.url}/sessions/${id}`)
  await page.locator('canvas').first().waitFor()
  await until(what, async () => share(await page.locator('canvas').first().screenshot(), colour) > 0.5)
}

it('create, watch live, drive with Playwright, download 30 MB, delete', async () => {
  const session = await porthole.session({ start_url: `${siteUrl}/red` })
  await shows(session.id, red, 'red seen through noVNC')
  const script = await chromium.connect(session.urls.playwright, { headers: porthole.headers })
  const inside = script.contexts()[0]!.pages()[0]!
  await inside.goto(`${siteUrl}/blue`)
  await until('blue follows', async () => share(await page.locator('canvas').first().screenshot(), blue) > 0.5)
  const [download] = await Promise.all([inside.waitForEvent('download'), inside.evaluate(`location.href = '${siteUrl}/big'`)])
  const hash = createHash('sha256')
  for await (const chunk of await download.createReadStream()) hash.update(chunk)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(big).digest('hex'))
  await script.close()
  const shot = await fetch(`${porthole.url}/v1/sessions/${session.id}/screenshot`, { headers: porthole.headers })
  expect(share(new Uint8Array(await shot.arrayBuffer()), blue)).toBeGreaterThan(0.5)
  expect((await porthole.api('DELETE', `/v1/sessions/${session.id}`)).status).toBe(204)
  await until('no process left', async () => porthole.processes(/Xvnc|chromium\/chromium|docker\/host/).length === 0)
}, 180_000)

it('a folder that is sent is built', ({ skip }) => buildsWhatIsSent(porthole, skip), 300_000)

/** Watches as the dashboard does: a ticket for each connection, and again when it ends. */
class Watcher {
  readonly stop = new AbortController()
  frames = 0
  lostAt: number | null = null
  gap = 0
  private readonly session: string
  constructor(session: string) {
    this.session = session
    void this.watch()
  }

  private async watch(): Promise<void> {
    while (!this.stop.signal.aborted) {
      const ws = await this.connect().catch(() => null)
      if (ws === null) {
        await new Promise(again => setTimeout(again, 250))
        continue
      }
      const viewer = new RfbViewer(ws, [0])
      try {
        await viewer.until(() => viewer.width > 0)
        for (;;) {
          // A corner is enough to know that pixels come.
          const before = viewer.updates
          viewer.send(Buffer.from([3, 0, 0, 0, 0, 0, 0, 16, 0, 16]))
          await viewer.until(() => viewer.updates > before)
          this.frames++
          if (this.lostAt !== null) this.gap = performance.now() - this.lostAt
          this.lostAt = null
          await new Promise(next => setTimeout(next, 100))
          if (this.stop.signal.aborted) break
        }
      } catch {
        this.lostAt ??= performance.now()
      }
      ws.terminate()
    }
  }

  private async connect(): Promise<WebSocket> {
    const { status, body } = await porthole.api('POST', `/v1/sessions/${this.session}/tickets`, { stream: 'vnc', role: 'view' })
    if (status !== 201) throw new Error(`no ticket: ${status}`)
    const ws = new WebSocket(body.url, ['binary', `ticket.${body.ticket}`], { perMessageDeflate: false })
    return new Promise((open, failed) => {
      ws.once('open', () => {
        ws.pause()
        open(ws)
      })
      ws.once('error', failed)
    })
  }
}

it('a release under ten viewers: all are back by themselves, the session untouched', async () => {
  const session = await porthole.session({ start_url: `${siteUrl}/red` })
  await shows(session.id, red, 'red before the release')
  const sandbox = porthole.processes(/Xvnc|chromium\/chromium/).sort()
  const watchers = Array.from({ length: 9 }, () => new Watcher(session.id))
  await until('all ten watch', async () => watchers.every(({ frames }) => frames > 0))
  porthole.signal('SIGUSR2')
  await until('every stream was dropped', async () => watchers.every(({ lostAt, gap }) => lostAt !== null || gap > 0))
  await until('all are back', async () => watchers.every(({ lostAt, gap }) => lostAt === null && gap > 0), 60)
  const gaps = watchers.map(({ gap }) => Math.round(gap)).sort((a, b) => a - b)
  process.stdout.write(`release: nine viewers were without pixels for ${gaps[0]} to ${gaps.at(-1)} ms\n`)
  expect(gaps.at(-1)).toBeLessThan(45_000)
  for (const { stop } of watchers) stop.abort()

  const script = await chromium.connectOverCDP(session.urls.cdp, { headers: porthole.headers })
  await script.contexts()[0]!.pages()[0]!.goto(`${siteUrl}/blue`)
  await until(
    'the page that was open is live again',
    async () =>
      share(
        await page
          .locator('canvas')
          .first()
          .screenshot()
          .catch(() => PNG.sync.write(new PNG({ width: 1, height: 1 }))),
        blue,
      ) > 0.5,
    60,
  )
  await script.close()
  expect((await porthole.api('GET', `/v1/sessions/${session.id}`)).body).toMatchObject({ status: 'running', generation: 1 })
  expect(porthole.processes(/Xvnc|chromium\/chromium/).filter(pid => sandbox.includes(pid)).length).toBeGreaterThanOrEqual(2)
  await porthole.api('DELETE', `/v1/sessions/${session.id}`)
}, 240_000)
