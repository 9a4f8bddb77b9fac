/** The routes over a real socket, database and agent: what must be the same wherever the app runs. What each route does has its own tests. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { FakeAgent, FakeLink } from './fake-agent.ts'
import type { PlatformApi } from './platform-api.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
type Body = any

export function routeConformance(running: () => PlatformApi): void {
  describe('routes', () => {
    let api: PlatformApi
    let agent: FakeAgent
    let link: FakeLink
    beforeAll(async () => {
      api = running()
      agent = await api.agent()
      link = await agent.link({ acknowledges: true })
    })
    const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const given = new Headers({
        authorization: `Bearer ${api.admin}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      })
      if (given.get('authorization') === '') given.delete('authorization')
      const answer = await fetch(api.url + path, {
        method,
        headers: given,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      const json = answer.headers.get('content-type')?.includes('json') ?? false
      return { status: answer.status, headers: answer.headers, body: (json && text ? JSON.parse(text) : text) as Body }
    }

    it('all exist, refuse strangers with 401 and what is unknown with 4xx, and never fail', { timeout: 120_000 }, async () => {
      const document = (await call('GET', '/openapi.json')).body
      const faults: string[] = []
      let seen = 0
      for (const [template, methods] of Object.entries<Body>(document.paths)) {
        for (const [method, { security }] of Object.entries<Body>(methods)) {
          if (template.includes('/events') || /^\/(docs|metrics)/.test(template)) continue
          seen++
          const path = template.replaceAll(/\{[^}]+\}/g, 'unknown0')
          const body = ['post', 'put', 'patch'].includes(method) ? { nonsense: true } : undefined
          const stranger = await call(method.toUpperCase(), path, body, { authorization: '' })
          const known = await call(method.toUpperCase(), path, body)
          const open = security?.length === 0
          const strangerOk = open ? stranger.status < 500 : [401, 422, 426].includes(stranger.status)
          if (!strangerOk || known.status >= 500) faults.push(`${method} ${path}: ${stranger.status}, ${known.status}`)
          if (stranger.status >= 400 && !stranger.body.request_id) faults.push(`${method} ${path}: no problem`)
        }
      }
      expect(faults).toEqual([])
      expect(seen).toBeGreaterThan(40)
    })

    it('say what they are: health, readiness, metrics, reference, request ids', async () => {
      expect((await call('GET', '/health')).body.status).toBe('ok')
      expect((await call('GET', '/ready')).status).toBe(200)
      expect((await call('GET', '/metrics')).body).toMatch(/^porthole_clusters\{status="online"\} [1-9]/m)
      expect((await call('GET', '/docs', undefined, { accept: 'text/html' })).body).toMatch(/<!doctype html>/i)
      const me = await call('GET', '/v1/me', undefined, { 'x-request-id': 'mine' })
      expect([me.status, me.headers.get('x-request-id'), me.body.scopes]).toEqual([200, 'mine', ['admin']])
      expect((await call('GET', '/v1/monitor/system')).body.database.version).toMatch(/^\d/)
    })

    it('keep a session from its creation to its end, the agent following at once', async () => {
      const made = await call('POST', '/v1/sessions', { template: 'chromium', cluster: agent.cluster, name: 'one' })
      expect([made.status, made.body.status]).toEqual([201, 'starting'])
      const { id } = made.body
      expect((await link.next('delta')).items).toMatchObject([{ id, state: 'running', generation: 1 }])
      expect((await call('POST', '/v1/sessions', { template: 'chromium', cluster: agent.cluster, name: 'one' })).status).toBe(200)
      expect((await call('GET', '/v1/sessions?limit=1')).body.data).toMatchObject([{ id }])
      const waiting = call('POST', '/v1/sessions', { template: 'chromium', cluster: agent.cluster }, { prefer: 'wait=20' })
      const second = (await link.next('delta')).items[0]!
      const item = {
        kind: 'session',
        id: second.id,
        generation: 1,
        phase: 'running',
        phases: [],
        idle_ms: null,
        notes: [],
        pod: null,
      }
      const load = { sessions: 2, streams: 0, cpu_millis_used: null, memory_bytes_used: null }
      const { epoch } = (await epochOf()) as { epoch: number }
      const observed = { ...item, display: { width: 1280, height: 800 }, versions: {} }
      link.send({ type: 'report', epoch, seq: 1, complete: false, items: [observed], load })
      expect((await link.next('report_ack')).seq).toBe(1)
      expect((await waiting).body).toMatchObject({ id: second.id, status: 'running' })
      expect((await call('DELETE', `/v1/sessions/${id}`)).status).toBe(204)
      expect((await link.next('delta')).items).toMatchObject([{ id, state: 'deleted' }])
    })
    const epochOf = async () =>
      (await api.db.execute(`select epoch::int from clusters where id = '${agent.cluster}'`))[0] as unknown

    it('answer a repeated key with what was answered, of 16 at once too', async () => {
      const key = { 'idempotency-key': 'k1' }
      const tries = await Promise.all(Array.from({ length: 16 }, () => call('POST', '/v1/projects', { name: 'keyed' }, key)))
      const made = tries.filter(answer => answer.status === 201)
      expect(new Set(made.map(answer => answer.body.id)).size).toBe(1)
      expect(tries.every(answer => [201, 409].includes(answer.status))).toBe(true)
      const replayed = await call('POST', '/v1/projects', { name: 'keyed' }, key)
      expect([replayed.status, replayed.headers.get('idempotent-replayed'), replayed.body.id]).toEqual([
        201,
        'true',
        made[0]!.body.id,
      ])
    })

    it('log people in with a cookie that only our pages may use', async () => {
      const login = await call('POST', '/v1/auth/login', { token: api.admin }, { authorization: '', origin: api.url })
      const cookie = login.headers.get('set-cookie')!.split(';')[0]!
      expect(login.headers.get('set-cookie')).toMatch(/HttpOnly/i)
      const by = (origin: string) => call('POST', '/v1/projects', { name: `of ${origin}` }, { authorization: '', cookie, origin })
      expect((await by(api.url)).status).toBe(201)
      expect((await by('https://evil.example')).status).toBe(403)
    })

    it('tell events as they happen, and from where a reader left', async () => {
      const left = new AbortController()
      const read = async (headers: Record<string, string> = {}) => {
        const answer = await fetch(`${api.url}/v1/events`, {
          headers: { authorization: `Bearer ${api.admin}`, ...headers },
          signal: left.signal,
        })
        expect(answer.headers.get('content-type')).toContain('text/event-stream')
        const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
        let text = ''
        return {
          async until(pattern: RegExp): Promise<string> {
            while (!pattern.test(text)) {
              const { value, done } = await reader.read()
              if (done) throw new Error(`ended: ${text}`)
              text += value
            }
            return text
          },
        }
      }
      const stream = await read()
      await stream.until(/: connected/)
      const { id } = (await call('POST', '/v1/sessions', { template: 'chromium', cluster: agent.cluster })).body
      const text = await stream.until(new RegExp(`"id":"${id}"`))
      const last = /^id: (\S+)$/m.exec(text)![1]!
      await call('DELETE', `/v1/sessions/${id}`)
      const again = await read({ 'last-event-id': last })
      await again.until(new RegExp(`^id: (?!${last}).*\\n.*\\n.*"id":"${id}"`, 'm'))
      left.abort()
    })

    it('serve the dashboard beside them, with a policy that lets only our own code run', async () => {
      const pageless = await call('GET', '/v1/nowhere', undefined, { accept: 'text/html' })
      expect([pageless.status, pageless.body.code]).toEqual([404, 'not_found'])
      const page = await call('GET', '/sessions/some', undefined, { accept: 'text/html', authorization: '' })
      // Without a build there is nothing to serve, which each platform says in its own words.
      if (!existsSync(join(import.meta.dirname, '../../web/dist/index.html'))) return
      expect(page.status).toBe(200)
      // 'self': of a build that is older than its nonces.
      expect(page.headers.get('content-security-policy')).toMatch(
        /default-src 'none'; script-src ('self'|'nonce-[\w+/]{22}==' 'strict-dynamic');/,
      )
      const script = /src="(\/assets\/[^"]+)"/.exec(page.body)![1]!
      const asset = await fetch(api.url + script)
      expect([asset.status, asset.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
    })

    it('say a cluster is offline when its link is gone, and online with the next', async () => {
      const status = async () => (await call('GET', `/v1/clusters/${agent.cluster}`)).body.status
      expect(await status()).toBe('online')
      link.ws.terminate()
      await vi.waitFor(async () => expect(await status()).toBe('offline'), { timeout: 10_000, interval: 50 })
      link = await agent.link({ acknowledges: true })
      expect(await status()).toBe('online')
    })

    it.each([
      ['binary', Buffer.from('{}'), 4400],
      ['too much at once', 'x'.repeat(1024 * 1024 + 1), 1009],
      ['no JSON', 'hello', 4400],
    ])('end a link that sends %s', async (_, data, code) => {
      const other = await (await api.agent()).dial()
      other.ws.send(data)
      expect((await other.closed).code).toBe(code)
    })
  })
}
