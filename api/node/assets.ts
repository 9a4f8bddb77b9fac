/**
 * The dashboard's files, held in memory: nothing outside the built folder can be named. Hashed files never change; index.html is what every
 * page of the dashboard loads, with a policy that lets only our own code run.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import { assetHeaders, cacheOf, notPages, servedPage, wantsPage } from '../web-page.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
}
const worthZipping = /^(text|application\/(json|manifest)|image\/svg|application\/wasm)/
const rereadMs = 2_000

interface Asset {
  body: Uint8Array<ArrayBuffer>
  zipped: Uint8Array<ArrayBuffer> | null
  type: string
  cache: string
}

export class Assets {
  private readonly folder: string
  private files = new Map<string, Asset>()
  private builtAt = -1
  private lookedAt = Number.NEGATIVE_INFINITY
  constructor(folder: string) {
    this.folder = folder
    this.refresh()
  }

  /** Null: not for us. */
  answer(request: Request): Response | null {
    if (request.method !== 'GET' && request.method !== 'HEAD') return null
    const url = new URL(request.url)
    if (notPages.test(url.pathname)) return null
    const asPage = wantsPage(request, url)
    if (asPage) this.refresh()
    const file = this.files.get(url.pathname)
    if (file && url.pathname !== '/index.html') return this.serve(request, file)
    if (!asPage || extname(url.pathname) !== '') return null
    const page = this.files.get('/index.html')
    return page ? servePage(request, page, url.host) : notBuilt(request)
  }

  private serve(request: Request, asset: Asset): Response {
    const zip = worthZipping.test(asset.type) && /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')
    const body = zip ? (asset.zipped ??= new Uint8Array(gzipSync(asset.body))) : asset.body
    return new Response(request.method === 'HEAD' ? null : body, {
      headers: {
        'content-type': asset.type,
        'content-length': String(body.length),
        'cache-control': asset.cache,
        ...assetHeaders,
        vary: 'accept-encoding',
        ...(zip ? { 'content-encoding': 'gzip' } : {}),
      },
    })
  }

  /** A build that came or changed after the start is seen, too. */
  private refresh(): void {
    if (performance.now() - this.lookedAt < rereadMs) return
    this.lookedAt = performance.now()
    const builtAt = statSync(join(this.folder, 'index.html'), { throwIfNoEntry: false })?.mtimeMs ?? -1
    if (builtAt === this.builtAt) return
    this.builtAt = builtAt
    this.files = builtAt === -1 ? new Map() : readFolder(this.folder)
  }
}

function servePage(request: Request, page: Asset, host: string): Response {
  const { html, headers } = servedPage(new TextDecoder().decode(page.body), host)
  return new Response(request.method === 'HEAD' ? null : html, {
    headers: { 'content-type': page.type, ...assetHeaders, ...headers },
  })
}

function readFolder(folder: string): Map<string, Asset> {
  const files = new Map<string, Asset>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const path = `/${relative(folder, file).split(sep).join('/')}`
    files.set(path, {
      body: new Uint8Array(readFileSync(file)),
      zipped: null,
      type: types[extname(entry.name)] ?? 'application/octet-stream',
      cache: cacheOf(path),
    })
  }
  return files
}

function notBuilt(request: Request): Response {
  const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Porthole</title>
<h1>Porthole is running</h1>
<p>The API answers here, but the dashboard has not been built: run <code>npm start</code>, or <code>npx vite build web</code>, and reload.</p>
<p><a href="/docs">API reference</a> · <a href="/health">Health</a></p></html>
`
  return new Response(request.method === 'HEAD' ? null : page, {
    status: 503,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    },
  })
}
