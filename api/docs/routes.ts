import { z } from '@hono/zod-openapi'
import { randomWord } from '../ids.ts'
import type { Mount } from '../resources.ts'
import { json, route } from '../route.ts'
import { type OpenApiDocument, openApiDocument, registerSecuritySchemes } from './document.ts'
import { referencePage } from './page.ts'

const tags = ['Status']

const openapi = route({
  method: 'get',
  path: '/openapi.json',
  operationId: 'openapi',
  access: 'public',
  tags,
  summary: 'This document',
  responses: { 200: json(z.object({ openapi: z.string() }).catchall(z.unknown()), 'OpenAPI 3.1.') },
})

const docs = route({
  method: 'get',
  path: '/docs',
  operationId: 'docs',
  access: 'public',
  tags,
  summary: 'This document, for people',
  responses: { 200: { description: 'A page.', content: { 'text/html': { schema: z.string() } } } },
})

export const mountDocs: Mount = (app, { platform }) => {
  registerSecuritySchemes(app)
  /** Made at the first request, when every room is mounted; only the server's address differs between requests. */
  let known: OpenApiDocument | null = null
  const document = (origin: string): OpenApiDocument => {
    known ??= openApiDocument(app, { version: platform.config.version, origin })
    return { ...known, servers: [{ url: origin }] }
  }
  app.openapi(openapi, c => c.json({ ...document(c.var.ctx.origin) }, 200))
  app.openapi(docs, c => {
    const nonce = randomWord(24)
    const policy = `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
    return c.html(referencePage(document(c.var.ctx.origin), nonce), 200, {
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
  })
}
