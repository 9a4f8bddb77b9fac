/**
 * Playwright inside the session: it opens the first page, serves remote `connect()` clients on a private address, and brings what the browser
 * downloads to the person's Downloads. A human at the screen and every script share the browser's one default context.
 */
import { copyFile, link, rename } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, extname, join } from 'node:path'
import type { BrowserContext, Download, Page, Browser as PlaywrightBrowser } from 'playwright-core'
import type { CdpPipe } from './cdp-pipe.ts'
import type { Wait } from './host-spec.ts'

const startUrlTimeout = 20_000

export interface ScriptBrowser {
  /** `ws://127.0.0.1:<port>/<guid>`: the guid keeps other users of the loopback out. */
  endpoint: string
  version: string
  browserVersion: string
  open(url: string, wait: Wait): Promise<void>
  screenshot(): Promise<Buffer>
  /** Takes back what a CDP client that went away had set for downloads. */
  reclaimDownloads(): Promise<void>
  close(): Promise<void>
}

export function playwrightVersion(): string {
  return (createRequire(import.meta.url)('playwright-core/package.json') as { version: string }).version
}

export interface ScriptOptions {
  cdp: CdpPipe
  /** Downloads on their way, named by their guid. */
  artifacts: string
  downloads: string
  /** Keeps a page on the screen when the last one is closed. */
  keepPage: boolean
  note(text: string): void
}

export async function connectScripts(options: ScriptOptions): Promise<ScriptBrowser> {
  const { chromium } = await import('playwright-core')
  const { artifacts, downloads, note } = options
  const browser = await chromium.connectOverCDP(options.cdp.root, { isLocal: true, artifactsDir: artifacts })
  const context = browser.contexts()[0] ?? (await browser.newContext())
  context.on('page', page => watch(page))
  for (const page of context.pages()) watch(page)
  const { endpoint } = await browser.bind('porthole', { host: '127.0.0.1', port: 0 })

  function watch(page: Page): void {
    page.on('download', download => {
      keep(download, downloads).catch(cause => note(`a download could not be kept: ${(cause as Error).message}`))
    })
    if (options.keepPage) page.on('close', () => void keepOnePage().catch(() => {}))
  }

  async function keepOnePage(): Promise<void> {
    const { targetInfos } = await options.cdp.call('Target.getTargets')
    if (browser.isConnected() && !(targetInfos as { type: string }[]).some(target => target.type === 'page'))
      await context.newPage()
  }

  return {
    endpoint,
    version: playwrightVersion(),
    browserVersion: browser.version(),
    open: (url, wait) => open(context, url, wait),
    screenshot: () => screenshot(browser, context),
    async reclaimDownloads() {
      await options.cdp.call('Browser.setDownloadBehavior', {
        behavior: 'allowAndName',
        downloadPath: artifacts,
        eventsEnabled: true,
      })
    },
    async close() {
      await options.cdp.call('Browser.close')
    },
  }
}

async function open(context: BrowserContext, url: string, wait: Wait): Promise<void> {
  const page = context.pages()[0] ?? (await context.newPage())
  const waitUntil = wait === 'none' ? 'commit' : wait
  try {
    await page.goto(url, { waitUntil, timeout: startUrlTimeout })
  } catch (cause) {
    const [why] = (cause as Error).message.split('\n')
    throw new Error(why!.replace(/^page\.goto: /, ''))
  }
}

/** Of the page opened last. The first picture of a fresh browser fails now and then: once more is enough. */
async function screenshot(browser: PlaywrightBrowser, context: BrowserContext): Promise<Buffer> {
  const page = context.pages().at(-1) ?? browser.contexts().flatMap(each => each.pages())[0] ?? (await context.newPage())
  const take = () => page.screenshot({ type: 'png', timeout: 10_000, animations: 'allow', caret: 'initial' })
  return await take().catch(take)
}

async function keep(download: Download, folder: string): Promise<void> {
  const source = await download.path().catch(() => null)
  if (source === null) return
  const name = basename(download.suggestedFilename()).replaceAll('\0', '') || 'download'
  const stem = basename(name, extname(name))
  for (let copy = 0; ; copy++) {
    const target = join(folder, copy === 0 ? name : `${stem} (${copy})${extname(name)}`)
    try {
      return await link(source, target)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EEXIST' && copy < 999) continue
      if (code !== 'EXDEV' && code !== 'EPERM') throw cause
      const half = `${target}.part`
      await copyFile(source, half)
      return await rename(half, target)
    }
  }
}
