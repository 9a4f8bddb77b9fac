/** The dashboard's files from the assets binding, with the headers that Node serves them with. */
import { assetHeaders, cacheOf, notPages, pagePolicy } from '../web-page.ts'
import type { Bindings } from './bindings.ts'

/** Null: not for us. */
export async function page(request: Request, { ASSETS }: Pick<Bindings, 'ASSETS'>): Promise<Response | null> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return null
  const url = new URL(request.url)
  if (notPages.test(url.pathname) || request.headers.has('upgrade')) return null
  const wantsPage = (request.headers.get('accept') ?? '').includes('text/html')
  const isFile = /\.\w+$/.test(url.pathname) && url.pathname !== '/index.html'
  if (!isFile && !wantsPage) return null
  const file = await ASSETS.fetch(isFile ? request : new Request(new URL('/index.html', url), request))
  if (file.status !== 200 && file.status !== 304) return null
  const headers = new Headers(file.headers)
  const ours = {
    ...assetHeaders,
    ...(isFile ? {} : pagePolicy(url.host)),
    'cache-control': isFile ? cacheOf(url.pathname) : 'no-cache',
  }
  for (const [name, value] of Object.entries(ours)) headers.set(name, value)
  return new Response(file.body, { status: file.status, headers })
}
