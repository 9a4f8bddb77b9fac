/** The built dashboard in a real Chromium, under the strictest policy, against the puppet API. For tests: afterwards no complaint may be left. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build } from 'vite'
import { vi } from 'vitest'
import { launchChromium } from './chromium.ts'
import { type FakeApi, startFakeApi } from './fake-api.ts'
import { plainPicture } from './rfb-double.ts'
import { sampleState } from './sample-state.ts'

// A person's whole way through a page in one test, on machines that may be many times slower than this one.
vi.setConfig({ testTimeout: 150_000, hookTimeout: 150_000 })
const patience = 60_000

export const teal = [20, 140, 130] as const

export interface BuiltDashboard {
  browser: Browser
  dist: string
  close: () => Promise<void>
}

export async function buildDashboard(): Promise<BuiltDashboard> {
  const dist = await mkdtemp(join(tmpdir(), 'porthole-web-'))
  const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url))
  await build({ configFile, logLevel: 'error', build: { outDir: dist, emptyOutDir: true } })
  const browser = await launchChromium()
  return {
    browser,
    dist,
    async close() {
      await browser.close()
      await rm(dist, { recursive: true, force: true })
    },
  }
}

export interface OpenDashboard {
  api: FakeApi
  context: BrowserContext
  page: Page
  /** Faults of scripts and violations of the policy. */
  complaints: string[]
  /** Goes there signed in. */
  open: (path: string) => Promise<void>
  close: () => Promise<void>
}

export async function openDashboard({ browser, dist }: BuiltDashboard): Promise<OpenDashboard> {
  const state = sampleState(Date.now())
  for (const [id, session] of state.sessions)
    if (session.status === 'running') state.pictures.set(id, plainPicture(640, 400, teal))
  const api = await startFakeApi(state, dist)
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  context.setDefaultTimeout(patience)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => {
    if (/Content Security Policy|TrustedHTML|TrustedScript/i.test(message.text())) complaints.push(message.text())
  })
  return {
    api,
    context,
    page,
    complaints,
    async open(path) {
      await context.addCookies([{ name: 'porthole', value: 'yes', url: api.url }])
      await page.goto(api.url + path)
    },
    async close() {
      await context.close()
      await api.close()
    },
  }
}

/** Waits for what a check says; the machine may be slow, the page is not. */
export const soon = (check: () => unknown) => vi.waitFor(check, { timeout: patience, interval: 50 })

/** The colour in the middle of the live screen, as the eye would see it. */
export async function colourOf(page: Page, selector: string): Promise<number[]> {
  return page.locator(selector).evaluate(element => {
    const canvas = element as unknown as {
      width: number
      height: number
      getContext: (kind: '2d') => { getImageData: (x: number, y: number, w: number, h: number) => { data: Iterable<number> } }
    }
    return [...canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3)
  })
}
