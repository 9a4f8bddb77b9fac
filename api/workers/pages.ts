/** The dashboard's files from the assets binding, with the headers that Node serves them with. */
import { newId } from '../ids.ts'
import { assetHeaders, cacheOf, notPages, servedPage, wantsPage } from '../web-page.ts'
import type { Bindings } from './bindings.ts'

/** Null: not for us. */
export async function page(request: Request, { ASSETS }: Pick<Bindings, 'ASSETS'>): Promise<Response | null> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return null
  const url = new URL(request.url)
  if (notPages.test(url.pathname) || request.headers.has('upgrade')) return null
  const isFile = /\.\w+$/.test(url.pathname) && url.pathname !== '/index.html'
  if (!isFile && !wantsPage(request, url)) return null
  // Without the client's conditions: an answer with a nonce of its own is never the one from before.
  const file = await ASSETS.fetch(isFile ? request : new Request(new URL('/index.html', url)))
  if (file.status !== 200 && file.status !== 304) return null
  const served = isFile ? null : servedPage(await file.text(), url.host)
  const headers = new Headers(file.headers)
  const ours = { ...assetHeaders, ...(served?.headers ?? { 'cache-control': cacheOf(url.pathname) }) }
  for (const [name, value] of Object.entries(ours)) headers.set(name, value)
  headers.set('x-request-id', newId('req'))
  if (!served) return new Response(file.body, { status: file.status, headers })
  for (const name of ['etag', 'last-modified', 'content-length', 'content-encoding']) headers.delete(name)
  return new Response(request.method === 'HEAD' ? null : served.html, { headers })
}
