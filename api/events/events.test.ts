/** Following events over real Postgres: none missed, none twice, resumed, walled, ended with the token. */

import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { events, tokens } from '#db/schema.ts'
import type { Scope } from '../context.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { emitEvent } from './emit.ts'
import { eventsAfter, newestPlace, type Place } from './read.ts'

let api: ApiFixture
let token: Minted
beforeAll(async () => {
  api = await apiFixture()
  token = await api.mint({ scopes: ['sessions:read'] })
})
afterAll(() => api.close())

const everybody = { project: null, shared: true, families: ['session', 'cluster'] }
const emit = (n: number, project = token.project) =>
  emitEvent(api.db, { type: 'session.updated', project, session: 'ses_x', data: { n } })

/** Reads `count` events of an open stream. */
async function follow(as: Minted, count: number, headers: Record<string, string> = {}, path = '/v1/events') {
  const abort = new AbortController()
  const response = await api.app.request(`${origin}${path}`, {
    headers: { authorization: `Bearer ${as.token}`, ...headers },
    signal: abort.signal,
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  let started: () => void = () => {}
  const open = new Promise<void>(resolve => (started = resolve))
  const done = (async () => {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      text += value
      started()
      if (text.split('\n\n').filter(block => block.includes('data:')).length >= count) break
    }
    abort.abort()
    await reader.cancel().catch(() => {})
    return text.split('\n\n').filter(block => block.includes('data:'))
  })()
  await open
  return { status: response.status, type: response.headers.get('content-type'), done }
}

describe('reading the table', () => {
  it('waits for a transaction that is still open, so that nothing appears behind the reader', async () => {
    const from = await newestPlace(api.db)
    let release: () => void = () => {}
    const held = new Promise<void>(resolve => (release = resolve))
    let wrote: () => void = () => {}
    const written = new Promise<void>(resolve => (wrote = resolve))
    const slow = api.db.transaction(async tx => {
      await emitEvent(tx, { type: 'session.updated', project: null, data: { n: 'early' } })
      wrote()
      await held
    })
    await written
    await emit(2)
    expect(await eventsAfter(api.db, from, everybody)).toEqual([])
    release()
    await slow
    expect((await eventsAfter(api.db, from, everybody)).map(row => row.data.n)).toEqual(['early', 2])
  })

  it('200 writers at once and a reader in between: each event once, in one order', { timeout: 90_000 }, async () => {
    let place: Place = await newestPlace(api.db)
    const seen: unknown[] = []
    const writers = Array.from({ length: 200 }, (_, n) => emit(n))
    const drain = async () => {
      const rows = await eventsAfter(api.db, place, everybody)
      seen.push(...rows.map(row => row.data.n))
      place = rows.at(-1) ?? place
    }
    let writing = true
    const all = Promise.all(writers).then(() => (writing = false))
    while (writing) await drain()
    await all
    // A transaction in another database of the same server holds back what is settled here, too.
    await vi.waitFor(
      async () => {
        await drain()
        expect(seen.length).toBeGreaterThanOrEqual(200)
      },
      { timeout: 60_000, interval: 20 },
    )
    await drain()
    expect([...seen].sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 200 }, (_, n) => n))
  })
})

describe('GET /v1/events', () => {
  it('tells what happens after it was opened, with ids', async () => {
    const stream = await follow(token, 1)
    await emit(7)
    const [block] = await stream.done
    expect([stream.status, stream.type]).toEqual([200, 'text/event-stream; charset=utf-8'])
    expect(block).toMatch(/id: evt_[0-9a-z]+\nevent: session\.updated\ndata: \{.*"n":7/)
  })

  it('resumes after Last-Event-ID, and says when that is too old', async () => {
    await emit(1)
    await emit(2)
    const rows = await api.db
      .select({ id: events.id, n: sql`${events.data} ->> 'n'` })
      .from(events)
      .orderBy(events.seq)
    const last = rows.at(-2)!
    const [block] = await (await follow(token, 1, { 'last-event-id': last.id })).done
    expect(block).toContain('"n":2')
    const [lost] = await (await follow(token, 1, { 'last-event-id': 'evt_0unknown' })).done
    expect(lost).toContain('event: resync')
  })

  it('shows a project only its own', async () => {
    const stranger = await api.mint({ scopes: ['sessions:read'] })
    const stream = await follow(stranger, 1)
    await emit(1)
    await emitEvent(api.db, { type: 'session.updated', project: stranger.project, data: { n: 'mine' } })
    expect((await stream.done)[0]).toContain('"n":"mine"')
  })

  it('ends when its token is revoked', async () => {
    const doomed = await api.mint({ scopes: ['sessions:read'] })
    const stream = await follow(doomed, 1000)
    await api.db
      .update(tokens)
      .set({ revoked_at: sql`clock_timestamp()` as never })
      .where(sql`id = ${doomed.id}`)
    expect(await stream.done).toEqual([])
  }, 15_000)

  it('needs a scope that has events', async () => {
    const none = await api.mint({ scopes: ['sessions:connect'] })
    expect((await api.call('GET', '/v1/events', { token: none })).status).toBe(403)
  })
})

describe('GET /v1/sessions/{id}/events', () => {
  it('is a list, newest first, that ends where it began', async () => {
    await loadBuiltinTemplates(api.db)
    const owner = await api.mint({ scopes: ['sessions:read', 'sessions:write'] })
    const { id } = (await api.call('POST', '/v1/sessions', { token: owner, body: { template: 'chromium' } })).body
    for (let n = 0; n < 4; n++) await api.call('POST', `/v1/sessions/${id}/touch`, { token: owner, body: {} })
    const list = (query = '') => api.call('GET', `/v1/sessions/${id}/events${query}`, { token: owner })
    const whole = (await list()).body
    expect(whole).toMatchObject({ object: 'list', has_more: false, next_cursor: null })
    expect(whole.data.map((event: { type: string }) => event.type)).toEqual([
      ...Array(4).fill('session.updated'),
      'session.created',
    ])
    const ids: string[] = []
    for (let cursor = ''; ids.length < 100; ) {
      const { body } = await list(`?limit=2${cursor}`)
      ids.push(...body.data.map((event: { id: string }) => event.id))
      if (!body.has_more) break
      cursor = `&cursor=${body.next_cursor}`
    }
    expect(ids).toEqual(whole.data.map((event: { id: string }) => event.id))
    expect((await list('?cursor=x')).status).toBe(422)
  })
})

describe('families', () => {
  it('are seen with the scope that reads the thing itself', async () => {
    const told = async (scopes: Scope[], type: string) => {
      const reader = await api.mint({ scopes })
      const stream = await follow(reader, 1)
      await emitEvent(api.db, { type, project: reader.project, data: { n: type } })
      await emitEvent(api.db, { type: 'session.updated', project: reader.project, data: { n: 'last' } })
      return (await stream.done)[0]
    }
    for (const [scope, type] of [
      ['exec', 'terminal.created'],
      ['tokens', 'token.updated'],
      ['sessions:read', 'template.created'],
    ] as const) {
      expect(await told([scope], type)).toContain(type)
      if (scope !== 'sessions:read') expect(await told(['sessions:read'], type)).toContain('last')
    }
  })
})
