/** The small parts at the rim: log lines, client addresses, files of the dashboard, repeated work. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { mintSecret, mintUserToken } from '../tokens/format.ts'
import { nonceMark } from '../web-page.ts'
import { Assets } from './assets.ts'
import { clientAddress } from './client-address.ts'
import { jsonLog } from './log.ts'
import { Timers } from './timers.ts'

describe('log lines', () => {
  const lines: string[] = []
  const log = jsonLog(line => lines.push(line))
  const last = () => JSON.parse(lines.at(-1)!) as Record<string, unknown>

  it('are one JSON object each, whatever is in them', () => {
    log.info('x', { text: 'a\nb\u001b[31m\u2028c\u0085', big: 10n, long: 'y'.repeat(9_000), error: new TypeError('no') })
    expect(lines.at(-1)).toMatch(/^[ -~…]*\n$/)
    expect(last()).toMatchObject({
      level: 'info',
      event: 'x',
      text: 'a\nb\u001b[31m\u2028c\u0085',
      big: '10',
      error: 'TypeError: no',
    })
    expect((last().long as string).length).toBeLessThan(2_100)
    const loop: Record<string, unknown> = {}
    loop.self = loop
    log.warn('y', loop)
    expect(last()).toMatchObject({ event: 'y', unprintable: true })
  })

  it('hold no secret of ours', () => {
    const secrets = [mintUserToken('prj_a', 'ann'), ...(['join', 'tk', 'se', 'st', 'lk'] as const).map(mintSecret)]
    log.error('z', { secrets, nested: { url: `wss://x/?ticket=${secrets[1]}` }, database: 'postgres://me:hunter2@db/x' })
    const line = lines.at(-1)!
    for (const secret of secrets) expect(line).not.toContain(secret.slice(-20))
    expect(line).not.toContain('hunter2')
  })
})

describe('the client’s address', () => {
  const from = (remoteAddress: string, forwarded?: string) =>
    ({
      socket: { remoteAddress },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    }) as unknown as IncomingMessage

  it.each([
    ['nobody is trusted', [], from('203.0.113.9', '198.51.100.1'), '203.0.113.9'],
    ['a stranger claims', ['10.0.0.0/8'], from('203.0.113.9', '198.51.100.1'), '203.0.113.9'],
    ['a trusted proxy says', ['10.0.0.0/8'], from('10.1.2.3', '198.51.100.1'), '198.51.100.1'],
    ['the client lies to a trusted proxy', ['10.0.0.0/8'], from('::ffff:10.1.2.3', '1.2.3.4, 198.51.100.1'), '198.51.100.1'],
    [
      'two proxies are trusted',
      ['10.0.0.0/8', '2001:db8::/32'],
      from('10.1.2.3', '1.2.3.4, 198.51.100.1, 2001:db8::1'),
      '198.51.100.1',
    ],
    ['rubbish is said', ['10.0.0.0/8'], from('10.1.2.3', 'unknown'), '10.1.2.3'],
    ['it comes mapped', [], from('::ffff:192.0.2.1'), '192.0.2.1'],
  ])('when %s', (_, trusted, incoming, address) => expect(clientAddress(trusted)(incoming)).toBe(address))

  it('refuses networks that cannot be read', () => expect(() => clientAddress(['ten'])).toThrow('ten'))
})

describe('files of the dashboard', () => {
  const outer = mkdtempSync(join(tmpdir(), 'porthole-web-'))
  const dist = join(outer, 'dist')
  afterAll(() => rmSync(outer, { recursive: true }))
  const get = (assets: Assets, path: string, headers: Record<string, string> = {}, method = 'GET') =>
    assets.answer(new Request(`http://porthole.test:8080${path}`, { method, headers }))
  const html = { accept: 'text/html,*/*' }

  it('are explained while they are missing, and found once they are there', async () => {
    const missing = new Assets(dist)
    const answer = get(missing, '/', html)!
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('npm start')])
    mkdirSync(join(dist, 'assets'), { recursive: true })
    writeFileSync(join(dist, 'index.html'), `<!doctype html><script src=/assets/a-1.js nonce="${nonceMark}"></script>`)
    writeFileSync(join(dist, 'assets/a-1.js'), 'x()'.repeat(1000))
    writeFileSync(join(outer, 'secret'), 'no')
    symlinkSync(join(outer, 'secret'), join(dist, 'link'))
    expect(await get(new Assets(dist), '/sessions/ses_1', html)!.text()).toContain('a-1.js')
    for (const headers of [{ accept: '*/*' }, undefined]) {
      expect(await get(new Assets(dist), '/', headers)!.text()).toContain('a-1.js')
      expect(get(new Assets(dist), '/sessions/ses_1', headers)).toBe(null)
    }
    expect(get(new Assets(dist), '/', { accept: 'application/json' })).toBe(null)
  })

  it('are cached by their names, zipped where it pays, and never anything else', async () => {
    const assets = new Assets(dist)
    const script = get(assets, '/assets/a-1.js', { 'accept-encoding': 'br, gzip' })!
    expect(Object.fromEntries(script.headers)).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-encoding': 'gzip',
      'content-type': 'text/javascript; charset=utf-8',
      'x-content-type-options': 'nosniff',
    })
    expect((await get(assets, '/assets/a-1.js')!.text()).length).toBe(3000)
    const page = get(assets, '/', html)!
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('content-security-policy')).toContain(
      "connect-src 'self' ws://porthole.test:8080 wss://porthole.test:8080;",
    )
    const nonces = await Promise.all(
      [page, get(assets, '/', html)!].map(async one => /nonce="([^"]+)"/.exec(await one.text())![1]!),
    )
    expect(page.headers.get('content-security-policy')).toContain(`script-src 'nonce-${nonces[0]}' 'strict-dynamic';`)
    expect(new Set([...nonces, nonceMark]).size).toBe(3)
    expect(await get(assets, '/', html, 'HEAD')!.text()).toBe('')
    for (const path of [
      '/../secret',
      '/%2e%2e/secret',
      '/link',
      '/assets/none.js',
      '/assets/../../secret',
      '/v1/me',
      '/health',
      '/docs',
    ])
      expect(get(assets, path, { accept: '*/*' }), path).toBeNull()
    expect(get(assets, '/v1/x', html)).toBeNull()
    expect(get(assets, '/', html, 'POST')).toBeNull()
  })
})

describe('repeated work', () => {
  it('never overlaps itself, outlives its failures, and is waited for at the end', async () => {
    vi.useFakeTimers()
    try {
      const warned: string[] = []
      const timers = new Timers({ info() {}, warn: event => void warned.push(event), error() {} })
      let runs = 0
      let finish = () => {}
      timers.every(1_000, 'slow', () => {
        runs++
        return new Promise<void>(done => {
          finish = done
        })
      })
      let failures = 0
      timers.every(1_000, 'failing', () => {
        failures++
        throw new Error('once more')
      })
      await vi.advanceTimersByTimeAsync(5_000)
      expect([runs, failures, warned.length]).toEqual([1, 5, 5])
      finish()
      await vi.advanceTimersByTimeAsync(1_000)
      expect(runs).toBe(2)
      let stopped = false
      const stopping = timers.stop().then(() => {
        stopped = true
      })
      await vi.advanceTimersByTimeAsync(5_000)
      expect([stopped, failures]).toEqual([false, 6])
      finish()
      await stopping
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})
