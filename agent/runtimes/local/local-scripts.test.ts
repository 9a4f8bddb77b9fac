/** Real Playwright clients against a local session: what people's scripts do. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { PNG } from 'pngjs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Instance, instanceName, type Runtime } from '../runtime.ts'
import { type DialBridge, openBridge } from '../testing/dial-bridge.ts'
import { type LocalLab, localLab, localSpec } from '../testing/local-lab.ts'
import { bytesOf, whenRunning, whenSeen } from '../testing/runtime-watching.ts'

const largeBody = 30 * 2 ** 20
const form = `<title>Form</title><form action="/done"><input name="who"><button>Go</button></form>
  <a id="file" href="/report.txt" download>report</a><input type="file" id="upload">`

let lab: LocalLab
let runtime: Runtime
let site: Server
let origin: string
let folder: string

beforeAll(async () => {
  lab = await localLab()
  runtime = lab.runtime
  folder = await mkdtemp(join(tmpdir(), 'scripts-'))
  site = createServer((request, response) => {
    const url = new URL(request.url!, 'http://site')
    if (url.pathname === '/large') return response.end(Buffer.alloc(largeBody, 'x'))
    if (url.pathname === '/report.txt')
      return response.writeHead(200, { 'content-disposition': 'attachment; filename="report.txt"' }).end('numbers')
    if (url.pathname === '/cookie')
      return response
        .writeHead(200, { 'set-cookie': 'seen=yes; Max-Age=86400; Path=/' })
        .end(String(request.headers.cookie ?? 'none'))
    if (url.pathname === '/language') return response.end(String(request.headers['accept-language']))
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(url.pathname === '/done' ? `<h1>Hello ${url.searchParams.get('who')}</h1>` : form)
  })
  await new Promise<void>(resolve => site.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
}, 60_000)

afterAll(async () => {
  await lab?.dispose()
  site?.closeAllConnections()
  await new Promise(resolve => site.close(resolve))
  await rm(folder, { recursive: true, force: true })
}, 60_000)

async function run(session: string, generation = 1, part: Parameters<typeof localSpec>[0] = {}): Promise<Instance> {
  const name = instanceName(session, generation)
  await runtime.start(name, session, generation, localSpec(part))
  return await whenRunning(runtime, name)
}

async function listFiles(session: string, path: string): Promise<string[]> {
  const answer = await runtime.host(session, {
    method: 'GET',
    path: `/files/${path}`,
    headers: {},
    signal: AbortSignal.timeout(5_000),
  })
  const { entries } = JSON.parse(String(await bytesOf(answer.body))) as { entries: { name: string }[] }
  return entries.map(entry => entry.name)
}

describe.each(['connect', 'connectOverCDP'] as const)('chromium.%s()', { timeout: 90_000 }, way => {
  let instance: Instance
  let bridge: DialBridge
  let browser: Browser
  beforeAll(async () => {
    instance = await run(`ses_scripts${way.toLowerCase()}`)
    bridge = await openBridge(runtime, instance.session)
    browser = way === 'connect' ? await chromium.connect(bridge.playwright) : await chromium.connectOverCDP(bridge.cdp)
  }, 90_000)
  afterAll(async () => {
    await browser?.close()
    await bridge?.close()
    if (instance) await runtime.stop(instance.name, instance.uid, 0)
  }, 30_000)

  test('sees the page that is on the screen', async () => {
    const [page] = browser.contexts()[0]!.pages()
    await page!.goto('data:text/html,<body style="background:rgb(200,30,120)">')
    const colour = async () => {
      const asked = { method: 'GET', path: '/screenshot', headers: {}, signal: AbortSignal.timeout(10_000) }
      const { data, width, height } = PNG.sync.read(await bytesOf((await runtime.host(instance.session, asked)).body))
      const inside = (Math.floor(height * 0.7) * width + Math.floor(width * 0.3)) * 4
      return [...data.subarray(inside, inside + 3)]
    }
    await expect.poll(colour, { timeout: 30_000 }).toEqual([200, 30, 120])
  })

  test('fills a form and takes a picture', async () => {
    const page = await browser.contexts()[0]!.newPage()
    await page.goto(origin)
    await page.fill('input[name=who]', 'Ann')
    await page.click('button')
    expect(await page.textContent('h1')).toBe('Hello Ann')
    expect((await page.screenshot()).length).toBeGreaterThan(1_000)
    await page.close()
  })

  test('a fresh page can be used at once, every time', async () => {
    for (let n = 0; n < 12; n++) {
      const page = await browser.contexts()[0]!.newPage()
      expect(await page.evaluate('1 + 1')).toBe(2)
      await page.close()
    }
  })

  test('200 evaluations in a row', async () => {
    const page = await browser.contexts()[0]!.newPage()
    for (let n = 0; n < 200; n++) expect(await page.evaluate(value => value * 2, n)).toBe(n * 2)
    await page.close()
  })

  test('two contexts at once do not see each other', async () => {
    const contexts = await Promise.all([browser.newContext(), browser.newContext()])
    const pages = await Promise.all(contexts.map(context => context.newPage()))
    await Promise.all(pages.map(page => page.goto(`${origin}/cookie`)))
    await pages[0]!.reload()
    expect(await pages[0]!.textContent('body')).toBe('seen=yes')
    expect(await pages[1]!.textContent('body')).toBe('none')
    await Promise.all(contexts.map(context => context.close()))
  })

  test('a response body of 30 MB', async () => {
    const page = await browser.contexts()[0]!.newPage()
    await page.goto(origin)
    const [response] = await Promise.all([
      page.waitForResponse(`${origin}/large`),
      page.evaluate(() => fetch('/large').then(answer => answer.arrayBuffer().then(() => 0))),
    ])
    expect(await response.body()).toHaveLength(largeBody)
    expect(await page.evaluate(() => fetch('/large').then(answer => answer.text()))).toHaveLength(largeBody)
    await page.close()
  })

  test('chooses a local file for an upload', async () => {
    const page = await browser.contexts()[0]!.newPage()
    await page.goto(origin)
    const file = join(folder, 'mine.txt')
    await writeFile(file, 'from here')
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#upload')])
    await chooser.setFiles(file)
    const text = await page.$eval('#upload', element =>
      (element as unknown as { files: { text(): Promise<string> }[] }).files[0]!.text(),
    )
    expect(text).toBe('from here')
    await page.close()
  })

  test('downloads a file, which is also in the session’s Downloads', async () => {
    const page = await browser.contexts()[0]!.newPage()
    await page.goto(origin)
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#file')])
    expect(download.suggestedFilename()).toBe('report.txt')
    if (way === 'connect') {
      const target = join(folder, `saved-${way}.txt`)
      await download.saveAs(target)
      expect(await readFile(target, 'utf8')).toBe('numbers')
    }
    await expect.poll(() => listFiles(instance.session, 'Downloads'), { timeout: 30_000 }).toContain('report.txt')
    await page.close()
  })

  test('closing the last page leaves one on the screen', async () => {
    const context = browser.contexts()[0]!
    const reopened = context.waitForEvent('page')
    for (const page of context.pages()) await page.close()
    await reopened
    expect((await runtime.observe()).find(each => each.name === instance.name)?.phase).toBe('running')
  })

  test('going away leaves the session running', async () => {
    await browser.close()
    const again = way === 'connect' ? await chromium.connect(bridge.playwright) : await chromium.connectOverCDP(bridge.cdp)
    expect(again.contexts()[0]!.pages().length).toBeGreaterThan(0)
    await again.close()
  })
})

describe('over time', { timeout: 90_000 }, () => {
  test('cookies survive a stop, and a kill leaves no lock on the profile', async () => {
    const session = 'ses_cookies'
    const body = async (instance: Instance) => {
      const bridge = await openBridge(runtime, session)
      const browser = await chromium.connect(bridge.playwright)
      const [page] = browser.contexts()[0]!.pages()
      await page!.goto(`${origin}/cookie`)
      const text = await page!.textContent('body')
      await browser.close()
      await bridge.close()
      await runtime.stop(instance.name, instance.uid, instance.generation === 2 ? 0 : 3_000)
      return text
    }
    expect(await body(await run(session, 1))).toBe('none')
    expect(await body(await run(session, 2))).toBe('seen=yes')
    expect(await body(await run(session, 3))).toBe('seen=yes')
    await runtime.forget(session)
  })

  test('a volume carries the profile from one session to another, one writer at a time', async () => {
    const volume = { id: 'vol_one' }
    const first = await run('ses_vola', 1, { volume, headless: true })
    const put = { method: 'PUT', path: '/files/note.txt', headers: {}, signal: AbortSignal.timeout(5_000) }
    await runtime.host('ses_vola', { ...put, body: [Buffer.from('kept')] as unknown as AsyncIterable<Uint8Array> })
    const second = instanceName('ses_volb', 1)
    await expect(runtime.start(second, 'ses_volb', 1, localSpec({ volume }))).rejects.toThrow(/vol_one is in use by ses-vola-g1/)
    await expect(runtime.volumes!.remove('vol_one')).rejects.toThrow(/in use/)
    await runtime.stop(first.name, first.uid, 1_000)
    await runtime.forget('ses_vola')

    const archive = (id: string, method: string, body?: Buffer) =>
      runtime.volumes!.archive(id, {
        ...{ method, path: '/archive', headers: {}, signal: AbortSignal.timeout(20_000) },
        ...(body && { body: [body] as unknown as AsyncIterable<Uint8Array> }),
      })
    const packed = await bytesOf((await archive('vol_one', 'GET')).body)
    expect((await archive('vol_two', 'PUT', packed)).status).toBe(200)
    await expect(archive('vol_two', 'PUT', Buffer.from('no archive'))).rejects.toMatchObject({ status: 422 })

    const other = await run('ses_volb', 1, { volume: { id: 'vol_two' }, headless: true })
    expect(await listFiles('ses_volb', '')).toContain('note.txt')
    await runtime.stop(other.name, other.uid, 0)
    await runtime.volumes!.remove('vol_one')
    await expect(archive('vol_one', 'GET')).rejects.toMatchObject({ status: 404 })
  })

  test('language, time zone and environment are the session’s', async () => {
    const instance = await run('ses_lang', 1, {
      headless: true,
      env: { LANG: 'de_CH.UTF-8', TZ: 'Asia/Tokyo', LD_PRELOAD: '/tmp/evil.so', DISPLAY: ':99' },
    })
    expect(instance.notes.join()).toMatch(/left out: LD_PRELOAD, DISPLAY/)
    const bridge = await openBridge(runtime, 'ses_lang')
    const browser = await chromium.connect(bridge.playwright)
    const [page] = browser.contexts()[0]!.pages()
    await page!.goto(`${origin}/language`)
    expect(await page!.textContent('body')).toMatch(/^de-CH,de;/)
    expect(await page!.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone)).toBe('Asia/Tokyo')
    await browser.close()
    await bridge.close()
    await runtime.stop(instance.name, instance.uid, 0)
  })

  test('late settings: another page, another environment, in the same session', async () => {
    const instance = await run('ses_late')
    const post = async (path: string, body: object) => {
      const sent = [Buffer.from(JSON.stringify(body))] as unknown as AsyncIterable<Uint8Array>
      const answer = await runtime.host('ses_late', {
        method: 'POST',
        path,
        headers: {},
        body: sent,
        signal: AbortSignal.timeout(30_000),
      })
      return { status: answer.status, said: String(await bytesOf(answer.body)) }
    }
    expect((await post('/relaunch', { env: { TZ: 'Asia/Tokyo' }, locale: 'fr-FR' })).status).toBe(200)
    expect((await whenRunning(runtime, instance.name)).uid).toBe(instance.uid)
    expect((await post('/navigate', { url: `${origin}/language` })).status).toBe(200)
    expect((await post('/navigate', { url: 'file:///etc/passwd' })).status).toBe(422)
    expect(await post('/navigate', { url: 'http://127.0.0.1:9/' })).toMatchObject({
      status: 502,
      said: expect.stringContaining('ERR_'),
    })
    const bridge = await openBridge(runtime, 'ses_late')
    const browser = await chromium.connect(bridge.playwright)
    const [page] = browser.contexts()[0]!.pages()
    // The page about the address that failed may still be coming.
    await vi.waitFor(() => page!.goto(`${origin}/language`), { timeout: 30_000 })
    expect(await page!.textContent('body')).toMatch(/^fr-FR,fr;/)
    expect(await page!.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone)).toBe('Asia/Tokyo')
    await browser.close()
    await bridge.close()

    const { port } = site.address() as AddressInfo
    const dialled = await runtime.dial('ses_late', { kind: 'port', port }, AbortSignal.timeout(5_000))
    if (dialled.kind !== 'bytes') throw new Error('a port is bytes')
    dialled.socket.write('GET /done?who=Bob HTTP/1.0\r\n\r\n')
    expect(String(await bytesOf(dialled.socket))).toContain('<h1>Hello Bob</h1>')
    await runtime.stop(instance.name, instance.uid, 0)
  })

  test('a session too hungry loses its page first and says so', async () => {
    const instance = await run('ses_hungry', 1, { headless: true, limits: { memory_bytes: 500 * 2 ** 20 } })
    const bridge = await openBridge(runtime, 'ses_hungry')
    const browser = await chromium.connect(bridge.playwright)
    const page = await browser.contexts()[0]!.newPage()
    const crashed = page.waitForEvent('crash', { timeout: 40_000 })
    page
      .evaluate('window.hoard = []; for (let n = 0; n < 90; n++) hoard.push(new Uint8Array(8 << 20).fill(n + 1)); 0')
      .catch(() => {})
    await crashed
    const seen = await whenSeen(runtime, all => all.find(each => each.name === instance.name && each.notes.length > 0))
    expect(seen.notes.join()).toMatch(/needed too much memory \(\d+ MiB of memory used, 500 MiB allowed\)/)
    expect(seen.phase).toBe('running')
    await browser.close()
    await bridge.close()
    await runtime.stop(instance.name, instance.uid, 0)
  })

  test('a client of another Playwright is told what to install, not left with a closed socket', async () => {
    const instance = await run('ses_versions', 1, { headless: true })
    const bridge = await openBridge(runtime, 'ses_versions')
    const headers = { 'User-Agent': 'Playwright/1.52.0 (x64; ubuntu 24.04) node/22.1' }
    await expect(chromium.connect(bridge.playwright, { headers })).rejects.toThrow(/npm i playwright-core@1\.65\.1/)
    await bridge.close()
    await runtime.stop(instance.name, instance.uid, 0)
  })
})
