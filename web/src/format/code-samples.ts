/** Ready-to-run code for a session's addresses. Every value is quoted for its language; the token is never in the text, only its variable. */
import type { Scope, Session } from '../api/contract.ts'

export type SampleTool = 'playwright' | 'cdp' | 'vnc' | 'api'
export type SampleLanguage = 'javascript' | 'python' | 'curl'

export interface Sample {
  tool: SampleTool
  language: SampleLanguage
  /** What has to be there first. */
  setup: string
  code: string
  /** What its token needs. */
  scopes: readonly Scope[]
}

export interface Addresses {
  view: string
  api: string
  vnc: string | null
  playwright: string | null
  cdp: string | null
}

/** Absolute addresses, whether the API gave them whole or as paths. */
export function addressesOf(session: Pick<Session, 'id' | 'urls'>, origin: string): Addresses {
  const http = (path: string) => new URL(path, origin).href
  const ws = (path: string | null) => path && new URL(path, origin).href.replace(/^http/, 'ws')
  return {
    view: http(session.urls.view),
    api: http(`/v1/sessions/${session.id}`),
    vnc: ws(session.urls.vnc),
    playwright: ws(session.urls.playwright),
    cdp: ws(session.urls.cdp),
  }
}

/** `playwright`: the session's own version, whose minor the client must match. */
const connecting: readonly Scope[] = ['sessions:connect']

export function samplesFor(addresses: Addresses, playwright: string | undefined): Sample[] {
  const pin = playwright ? playwright.split('.').slice(0, 2).join('.') : null
  const samples: Sample[] = []
  if (addresses.playwright) {
    samples.push(
      {
        tool: 'playwright',
        language: 'javascript',
        scopes: connecting,
        setup: `npm install playwright-core${pin ? `@~${pin}.0` : ''}`,
        code: `import { chromium } from 'playwright-core'

const browser = await chromium.connect(${js(addresses.playwright)}, {
  headers: { Authorization: \`Bearer \${process.env.PORTHOLE_TOKEN}\` },
})
// The page you see on the screen:
const page = browser.contexts()[0].pages()[0]
await page.goto('https://example.com')
console.log(await page.title())
await browser.close() // your connection; the session stays`,
      },
      {
        tool: 'playwright',
        language: 'python',
        scopes: connecting,
        setup: `pip install "playwright${pin ? `==${pin}.*` : ''}"`,
        code: `import os
from playwright.sync_api import sync_playwright

with sync_playwright() as p:
    browser = p.chromium.connect(
        ${py(addresses.playwright)},
        headers={"Authorization": f"Bearer {os.environ['PORTHOLE_TOKEN']}"},
    )
    page = browser.contexts[0].pages[0]  # the page on the screen
    page.goto("https://example.com")
    print(page.title())`,
      },
    )
  }
  if (addresses.cdp) {
    samples.push(
      {
        tool: 'cdp',
        language: 'javascript',
        scopes: connecting,
        setup: 'npm install playwright-core',
        code: `import { chromium } from 'playwright-core'

const browser = await chromium.connectOverCDP(${js(addresses.cdp)}, {
  headers: { Authorization: \`Bearer \${process.env.PORTHOLE_TOKEN}\` },
})
const page = browser.contexts()[0].pages()[0]
await page.goto('https://example.com')
console.log(await page.title())
await browser.close() // your connection; the session stays`,
      },
      {
        tool: 'cdp',
        language: 'python',
        scopes: connecting,
        setup: 'pip install playwright',
        code: `import os
from playwright.sync_api import sync_playwright

with sync_playwright() as p:
    browser = p.chromium.connect_over_cdp(
        ${py(addresses.cdp)},
        headers={"Authorization": f"Bearer {os.environ['PORTHOLE_TOKEN']}"},
    )
    page = browser.contexts[0].pages[0]
    page.goto("https://example.com")
    print(page.title())`,
      },
    )
  }
  samples.push({
    tool: 'api',
    language: 'curl',
    scopes: ['sessions:read', 'sessions:write'],
    setup: '',
    code: `auth="Authorization: Bearer $PORTHOLE_TOKEN"

# how it is
curl -s -H "$auth" ${sh(addresses.api)}

# a picture of its screen
curl -s -H "$auth" -o screen.png ${sh(`${addresses.api}/screenshot`)}

# keep it alive
curl -s -X POST -H "$auth" ${sh(`${addresses.api}/touch`)}

# end it
curl -s -X DELETE -H "$auth" ${sh(addresses.api)}`,
  })
  if (addresses.vnc) {
    samples.push({
      tool: 'vnc',
      language: 'javascript',
      scopes: connecting,
      setup: 'npm install ws',
      code: `import WebSocket from 'ws'

// Raw RFB 3.8 in binary messages, security type None.
const socket = new WebSocket(${js(addresses.vnc)}, ['binary'], {
  headers: { Authorization: \`Bearer \${process.env.PORTHOLE_TOKEN}\` },
})
socket.on('message', bytes => console.log(bytes.toString('latin1')))`,
    })
  }
  return samples
}

function js(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`
}

function py(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}

function sh(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
