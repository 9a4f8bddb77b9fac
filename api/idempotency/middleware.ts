/**
 * `Idempotency-Key` on a POST. One transaction surrounds the handler: the key's row, the effect and the answer are committed together or not
 * at all. Inside it `ctx.db` is that transaction (a verb's own becomes a savepoint) and `ctx.afterCommit` waits for its end.
 *
 * So a verb must change things only through `ctx.db`, in a transaction of its own, and nudge or close things only through
 * `ctx.afterCommit`. A handler that wants to wait for what happens after the change (`Prefer: wait`) uses `answerAfterCommit`.
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { Db } from '#db/client.ts'
import { bearerOf, cookieOf } from '../auth.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { invalid, Problem } from '../problem.ts'
import type { AppEnv } from '../route.ts'
import { type Kept, keepAnswer, type Slot, takeKey } from './keys.ts'
import { seal, unseal } from './seal.ts'

/** Undoes the transaction although nothing was thrown: the answer says that nothing happened. */
class Undo extends Error {}

export function idempotent(options: { secret: boolean }): MiddlewareHandler<AppEnv> {
  return async function idempotency(c, next) {
    const key = c.req.header('idempotency-key')
    if (key === undefined) return next()
    if (!/^[\x20-\x7e]{1,255}$/.test(key)) throw invalid('Idempotency-Key', 'A key is 1 to 255 printable ASCII characters.')
    const outer = c.var.ctx
    const actor = tokenActor(outer)
    const slot: Slot = { project_id: actor.project, route: `${actor.user} ${c.req.method} ${c.req.path}`, key }
    const hash = await requestHash(c, outer)
    const lock = options.secret ? (bearerOf(c.req.raw.headers) ?? cookieOf(c.req.raw.headers)) : null

    const pending: (() => Promise<unknown>)[] = []
    const inner: Ctx = { ...outer, afterCommit: async work => void pending.push(work) }
    let replayed: Response | null = null
    try {
      await outer.db.transaction(async tx => {
        const kept = await takeKey(tx, slot, hash)
        if (kept) {
          replayed = await replay(kept, lock, slot)
          return
        }
        inner.db = asDb(tx)
        c.set('ctx', inner)
        await next()
        if (!isKept(c.res.status)) throw new Undo()
        await keepAnswer(tx, slot, c.res.status, await pack(c.res.clone(), lock, slot))
      })
    } catch (error) {
      if (!(error instanceof Undo)) throw error
      pending.length = 0
    } finally {
      inner.db = outer.db
      c.set('ctx', outer)
    }
    if (replayed) return replayed
    for (const work of pending) await outer.afterCommit(work)
    if (c.var.later && isKept(c.res.status)) c.res = await c.var.later()
  }
}

/**
 * Answers `now`, or what `work` gives once the change is committed. What is kept for the key is `now`: a replay does not wait again.
 */
export async function answerAfterCommit<R extends Response>(c: Context<AppEnv>, now: R, work: () => Promise<R>): Promise<R> {
  if (c.req.header('idempotency-key') === undefined || c.req.method !== 'POST') return work()
  c.set('later', work)
  return now
}

/** A settled outcome is kept; what was refused before anything ran, or failed on our side, may be tried again with the same key. */
function isKept(status: number): boolean {
  return status < 400 || status === 404 || status === 409
}

/** A transaction has all that verbs use of a database. */
function asDb(tx: Parameters<Parameters<Db['transaction']>[0]>[0]): Db {
  return tx as unknown as Db
}

async function requestHash(c: Context<AppEnv>, ctx: Ctx): Promise<Uint8Array> {
  const head = new TextEncoder().encode(`${c.req.method} ${c.req.path}${new URL(c.req.url).search}\n`)
  const body = new Uint8Array(await c.req.arrayBuffer())
  const whole = new Uint8Array(head.length + body.length)
  whole.set(head)
  whole.set(body, head.length)
  return ctx.sha256(whole)
}

const place = (slot: Slot) => `${slot.project_id}\n${slot.route}\n${slot.key}`

async function pack(response: Response, lock: string | null, slot: Slot): Promise<Kept> {
  const text = await response.text()
  const head = { content_type: response.headers.get('content-type'), location: response.headers.get('location') }
  // Problems hold no secret, and must be readable whoever repeats the request.
  if (lock === null || response.status >= 400) return { ...head, text }
  return { ...head, sealed: await seal(text, lock, place(slot)) }
}

async function replay(kept: { status: number; body: Kept }, lock: string | null, slot: Slot): Promise<Response> {
  const { sealed, content_type, location } = kept.body
  const text = sealed === undefined ? kept.body.text : lock === null ? null : await unseal(sealed, lock, place(slot))
  if (text === null) {
    throw new Problem('conflict', 'The answer held a secret and can be repeated only to the token that asked for it.')
  }
  return new Response(kept.status === 204 ? null : (text ?? ''), {
    status: kept.status,
    headers: {
      ...(content_type ? { 'content-type': content_type } : {}),
      ...(location ? { location } : {}),
      'idempotent-replayed': 'true',
    },
  })
}
