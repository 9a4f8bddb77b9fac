/** What may come where JSON is expected: JSON by its content type, no larger than configured. An absent optional body counts as `{}`. */
import type { HonoRequest, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { Problem } from './problem.ts'
import type { AppEnv } from './route.ts'

const isJson = /^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i

export const jsonBodyOnly: MiddlewareHandler<AppEnv> = async function json_body_only(c, next) {
  const type = c.req.header('content-type')
  const length = c.req.header('content-length')
  const sent = (length !== undefined && length !== '0') || c.req.header('transfer-encoding') !== undefined
  if (type === undefined ? sent : !isJson.test(type)) {
    throw new Problem('unsupported_media_type', 'Send the body as application/json.')
  }
  const maxSize = c.var.ctx.config.maxJsonBody
  const tooLarge = () => new Problem('too_large', `The body is larger than ${maxSize} bytes.`)
  await bodyLimit({
    maxSize,
    onError: () => {
      throw tooLarge()
    },
  })(c, async () => {
    if (type !== undefined && (await c.req.text()) === '') readAs(c.req, '{}')
    await next()
  })
}

/** Hono reads a body once and keeps the promise of it here, though the type says the text itself. */
function readAs(request: HonoRequest, text: string): void {
  request.bodyCache.text = Promise.resolve(text) as unknown as string
}
