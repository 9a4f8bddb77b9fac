/** A headless Chromium for tests and pictures: the machine's own, found once. */
import { access } from 'node:fs/promises'
import { type Browser, chromium } from 'playwright-core'

const places = ['/usr/lib/chromium/chromium', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export async function launchChromium(): Promise<Browser> {
  const args = [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--force-color-profile=srgb',
  ]
  return chromium.launch({ executablePath: await find(), chromiumSandbox: process.getuid?.() !== 0, args })
}

async function find(): Promise<string> {
  for (const path of places) {
    const found = await access(path).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  throw new Error(`no Chromium at ${places.join(', ')}: install the package chromium`)
}
