/** What may come where JSON is expected: JSON by its content type, no larger than configured. An absent optional body counts as `{}`. */
import type { HonoRequest, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { invalid, Problem } from './problem.ts'
import type { AppEnv } from './route.ts'

const isJson = /^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i

export const jsonBodyOnly: MiddlewareHandler<AppEnv> = async function json_body_only(c, next) {
  const type = c.req.header('content-type')
  const length = c.req.header('content-length')
  const inPieces = c.req.header('transfer-encoding') !== undefined
  const sent = (length !== undefined && length !== '0') || inPieces
  if (type === undefined ? sent : !isJson.test(type)) {
    throw new Problem('unsupported_media_type', 'Send the body as application/json.')
  }
  const maxSize = c.var.ctx.config.maxJsonBody
  const refuse = (): never => {
    throw new Problem('too_large', `The body is larger than ${maxSize} bytes.`)
  }
  const read = async () => {
    const text = type === undefined ? '' : await c.req.text()
    if (type !== undefined && text === '') readAs(c.req, '{}')
    if (/\\u(0000|d[89a-f])/i.test(text)) refuseWhatIsNoText(text)
    await next()
  }
  // A length that is told is kept to by the platform. Looking at the body as a stream, as the counting does, costs as much as the rest of reading it.
  if (sent && !inPieces) return Number(length) <= maxSize ? read() : refuse()
  await bodyLimit({ maxSize, onError: refuse })(c, read)
}

/** A NUL and half a character are JSON, but no text that a database keeps. Malformed JSON is told by whoever reads it. */
function refuseWhatIsNoText(text: string): void {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return
  }
  const look: [string, unknown][] = [['', value]]
  for (let at = look.pop(); at; at = look.pop()) {
    const [pointer, part] = at
    if (typeof part === 'string') {
      if (!isText(part)) throw invalid(pointer, 'Must be text: no NUL, no half of a surrogate pair.')
    } else if (typeof part === 'object' && part !== null) {
      for (const [key, inner] of Object.entries(part)) {
        if (!isText(key)) throw invalid(pointer, 'A name in it is no text.')
        look.push([`${pointer}/${key.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`, inner])
      }
    }
  }
}

export const isText = (value: string) => !value.includes('\0') && value.isWellFormed()

/** Hono reads a body once and keeps the promise of it here, though the type says the text itself. */
function readAs(request: HonoRequest, text: string): void {
  request.bodyCache.text = Promise.resolve(text) as unknown as string
}
