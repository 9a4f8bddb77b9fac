/** HTTP that reaches into sessions (files, screenshots, logs): every behaviour that must not depend on the platform. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { eq, isNull } from 'drizzle-orm'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { clusters, grants, jobs } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { capabilities } from './fake-agent.ts'
import { HostDouble } from './host-double.ts'
import type { PlatformApi } from './platform-api.ts'
import { ServingAgent } from './serving-agent.ts'

const MB = 1024 * 1024

export function exchangeConformance(running: () => PlatformApi): void {
  describe('exchanges', () => {
    let api: PlatformApi
    let agent: ServingAgent
    let base: string
    beforeAll(async () => {
      api = running()
      agent = await ServingAgent.of(await api.agent())
      base = `/v1/sessions/${await api.session(agent.agent.cluster)}`
    })
    const headers = () => ({ authorization: `Bearer ${api.admin}` })
    const next = (grantsFromStart = true) =>
      new Promise<{ open: Open; host: HostDouble }>(served =>
        agent.serve(async open => {
          let host!: HostDouble
          await agent.meet(open, ws => {
            host = new HostDouble(ws, grantsFromStart)
          })
          served({ open, host })
        }),
      )
    const idle = () =>
      vi.waitFor(
        async () => {
          const open = await api.db.select({ id: grants.id }).from(grants).where(isNull(grants.closed_at))
          expect(open).toEqual([])
        },
        { timeout: 15_000, interval: 25 },
      )

    it('carry a file of 30 MB down, to the last byte', { timeout: 60_000 }, async () => {
      const asked = next()
      const answer = fetch(`${api.url}${base}/files/dir/big.bin`, { headers: headers() })
      const { open, host } = await asked
      expect(open).toMatchObject({ kind: 'http', target: { request: { method: 'GET', path: '/files/dir/big.bin' } } })
      const part = randomBytes(MB)
      const length = String(30 * MB)
      host.frame({ type: 'head', status: 200, headers: { 'content-type': 'text/html', 'content-length': length } })
      const sending = host.send(part, 30).then(() => host.frame({ type: 'end' }))
      sending.catch(() => {})
      const got = await answer
      // Never a page of this origin.
      expect([
        got.headers.get('content-type'),
        got.headers.get('content-length'),
        got.headers.get('content-disposition'),
      ]).toEqual(['application/octet-stream', length, 'attachment'])
      const [seen, hash] = [createHash('sha256'), createHash('sha256')]
      for await (const chunk of got.body!) seen.update(chunk)
      for (let i = 0; i < 30; i++) hash.update(part)
      await sending
      expect(seen.digest('hex')).toBe(hash.digest('hex'))
      await idle()
    })

    it('carry one up no faster than the session takes it', { timeout: 60_000 }, async () => {
      const asked = next(false)
      const part = randomBytes(MB)
      const outgoing = request(`${api.url}${base}/files/up.bin`, {
        method: 'PUT',
        headers: { ...headers(), 'content-length': 30 * MB, 'content-type': 'application/octet-stream' },
      })
      const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
      const hash = createHash('sha256')
      const writing = (async () => {
        for (let i = 0; i < 30; i++) {
          hash.update(part)
          if (!outgoing.write(part)) await once(outgoing, 'drain')
        }
        outgoing.end()
      })()
      const { host } = await asked
      await vi.waitFor(() => expect(host.taken).toBe(256 * 1024), { timeout: 10_000 })
      await new Promise(turn => setTimeout(turn, 300))
      expect(host.taken).toBe(256 * 1024)
      host.grants = true
      host.frame({ type: 'credit', total: host.taken })
      await host.bodyEnd
      host.frame({ type: 'head', status: 204, headers: {} })
      host.frame({ type: 'end' })
      expect((await answered)[0].statusCode).toBe(204)
      await writing
      expect([host.taken, host.hash.digest('hex')]).toEqual([30 * MB, hash.digest('hex')])
      await idle()
    })

    it('wait for a reader that does not read, and let go when it leaves', async () => {
      const asked = next()
      const incoming = request(`${api.url}${base}/files/slow.bin`, { headers: headers() })
      incoming.on('error', () => {})
      incoming.end()
      const answered = once(incoming, 'response')
      const { host } = await asked
      host.frame({ type: 'head', status: 200, headers: {} })
      let sent = 0
      const sending = (async () => {
        for (;;) {
          await host.send(new Uint8Array(MB))
          sent++
        }
      })().catch(() => {})
      await answered
      let before = -1
      await vi.waitFor(
        () => {
          const held = before === sent
          before = sent
          expect(held).toBe(true)
        },
        { timeout: 15_000, interval: 700 },
      )
      const closed = once(host.ws, 'close')
      incoming.destroy()
      expect([1001, 1006, 1011]).toContain((await closed)[0])
      await sending
      await idle()
    })

    it('never make a download that was cut look whole, nor complete an upload whose client left', async () => {
      let asked = next()
      const answer = fetch(`${api.url}${base}/files/cut.bin`, { headers: headers() })
      const down = (await asked).host
      down.frame({ type: 'head', status: 200, headers: {} })
      down.ws.send(new Uint8Array(1000))
      const body = (await answer).arrayBuffer()
      down.ws.terminate()
      await expect(body).rejects.toThrow()

      asked = next()
      const outgoing = request(`${api.url}${base}/files/part.bin`, {
        method: 'PUT',
        headers: { ...headers(), 'content-length': 1000 },
      })
      outgoing.on('error', () => {})
      outgoing.write(Buffer.alloc(500))
      const { host } = await asked
      const closed = once(host.ws, 'close')
      let whole = false
      void host.bodyEnd.then(() => {
        whole = true
      })
      outgoing.destroy()
      await closed
      expect(whole).toBe(false)
      await idle()
    })

    it('answer what the session refused as a problem, and its screenshot as PNG', async () => {
      let asked = next()
      const missing = fetch(`${api.url}${base}/files/none`, { headers: headers() })
      const one = (await asked).host
      one.frame({ type: 'head', status: 404, headers: {} })
      await one.send(Buffer.from('{"code":"not_found","detail":"There is no such file."}'))
      one.frame({ type: 'end' })
      const problem = await missing
      expect([problem.status, await problem.json()]).toEqual([
        404,
        expect.objectContaining({ code: 'not_found', detail: 'There is no such file.' }),
      ])
      asked = next()
      const shot = fetch(`${api.url}${base}/screenshot?width=320`, { headers: headers() })
      const { open, host } = await asked
      expect(open.target.request?.path).toBe('/screenshot?width=320')
      host.frame({ type: 'head', status: 200, headers: { 'content-type': 'image/png', 'set-cookie': 'a=b' } })
      await host.send(Buffer.from('PNG'))
      host.frame({ type: 'end' })
      const png = await shot
      expect([png.headers.get('content-type'), png.headers.get('set-cookie'), await png.text()]).toEqual([
        'image/png',
        null,
        'PNG',
      ])
      await idle()
    })

    it('follow logs line by line, until the session ends them or the reader leaves', async () => {
      let asked = next()
      const answering = fetch(`${api.url}${base}/logs?follow&tail_lines=5`, { headers: headers() })
      const { open, host } = await asked
      expect(open).toMatchObject({ kind: 'logs', role: 'view', target: { logs: { follow: true, tail_lines: 5 } } })
      host.frame({ type: 'head', status: 200, headers: {} })
      const answer = await answering
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
      for (const line of ['one\n', 'two\n']) {
        await host.send(Buffer.from(line))
        expect((await reader.read()).value).toBe(line)
      }
      host.frame({ type: 'end' })
      expect((await reader.read()).done).toBe(true)
      asked = next()
      const left = new AbortController()
      const followed = fetch(`${api.url}${base}/logs?follow`, { headers: headers(), signal: left.signal })
      const writer = (await asked).host
      writer.frame({ type: 'head', status: 200, headers: {} })
      await followed
      const closed = once(writer.ws, 'close')
      left.abort()
      // A platform may only notice when there is something to write.
      const writing = setInterval(() => writer.ws.send(Buffer.from('more\n')), 50)
      await closed
      clearInterval(writing)
      await idle()
    })

    it('live output of a job that is over: at the reader’s pace, until its container ends or the reader leaves', async () => {
      const { cluster } = agent.agent
      await api.db
        .update(clusters)
        .set({ capabilities: { ...capabilities, features: ['logs_jobs'], jobs: { types: ['manifest'], capacity: 5 } } })
        .where(eq(clusters.id, cluster))
      const made = await fetch(`${api.url}/v1/jobs`, {
        method: 'POST',
        headers: { ...headers(), 'content-type': 'application/json' },
        body: JSON.stringify({
          type: 'manifest',
          cluster,
          set: 'shop',
          yaml: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n',
        }),
      })
      const job = (await made.json()) as { id: string; project: string }
      const over = {
        status: 'succeeded',
        cause: 'exit',
        cluster_id: cluster,
        started_at: new Date(),
        ended_at: new Date(),
      } as const
      await api.db.update(jobs).set(over).where(eq(jobs.id, job.id))
      const live = `${api.url}/v1/jobs/${job.id}/logs?live=true`

      let asked = next()
      const answering = fetch(`${live}&follow=true&tail_lines=5&pod=web-1&container=main`, { headers: headers() })
      const { open, host } = await asked
      const by = { type: 'manifest', attempt: 1, project: job.project, set: 'shop' }
      const logs = { follow: true, tail_lines: 5, pod: 'web-1', container: 'main', job: by }
      expect(open).toMatchObject({ kind: 'logs', role: 'view', session: job.id, target: { logs } })
      host.frame({
        type: 'head',
        status: 200,
        headers: { 'x-log-stream': 'web-1/main', 'x-log-streams': 'web-1/main, web-2/main' },
      })
      const answer = await answering
      const named = ['content-type', 'x-log-stream', 'x-log-streams'].map(name => answer.headers.get(name))
      expect(named).toEqual(['text/event-stream; charset=utf-8', 'web-1/main', 'web-1/main, web-2/main'])
      for (const text of ['\x1b[31mone\x1b[2J\n', 'tw', 'o \u20ac\n']) await host.send(Buffer.from(text))
      host.frame({ type: 'end' })
      const told = await answer.text()
      const events = [...told.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)].map(([, event, data]) => ({
        event,
        ...JSON.parse(data!),
      }))
      expect(events.at(-1)).toEqual({ event: 'end', attempt: 1, status: 'succeeded' })
      const said = events.filter(({ event }) => event === 'log')
      expect(said.map(({ text }) => text).join('')).toBe('\x1b[31mone\ntwo \u20ac\n')
      expect(said.every(({ stream }) => stream === 'web-1/main')).toBe(true)
      expect(told).not.toContain('\nid:')

      // A reader that takes nothing: no more than a few windows leave the agent.
      asked = next()
      const left = new AbortController()
      const raw = fetch(`${live}&format=raw`, { headers: headers(), signal: left.signal })
      const writer = (await asked).host
      writer.frame({ type: 'head', status: 200, headers: {} })
      await raw
      let sent = 0
      const sending = (async () => {
        for (; sent < 64; sent++) await writer.send(Buffer.alloc(MB))
      })()
      const stopped = expect(sending).rejects.toThrow('closed')
      await vi.waitFor(() => expect(writer.window.room).toBe(0), { timeout: 30_000 })
      left.abort()
      await stopped
      expect(sent).toBeLessThan(64)
      await idle()
    })
  })
}
