/** A job's output over real Postgres: taken without gap or duplicate, kept within its caps, read from any place. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { job_log_chunks, jobs } from '#db/schema.ts'
import { LogPieceQuery } from '#protocol/job-logs.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../../testing/api-fixture.ts'
import { capable, FakeCluster } from '../../testing/fake-cluster.ts'
import { endedJob, seenJob } from '../../testing/job-reports.ts'
import { endInWords } from './last-words.ts'
import { safeText, showable } from './safe-text.ts'
import { type LogCaps, takeLogPiece } from './take.ts'

let api: ApiFixture
let token: Minted
let cluster: FakeCluster
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  token = await api.mint({ scopes: ['jobs:read', 'jobs:write'] })
  cluster = await new FakeCluster(api).connect(capable(100))
})
afterAll(() => api?.close())

const small: LogCaps = { headBytes: 1_000, totalBytes: 4_000, slackBytes: 500 }
const job = async (): Promise<string> => {
  const { body } = await api.call('POST', '/v1/jobs', { token, body: { type: 'run', image: 'a', command: ['a'] } })
  return body.id
}
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))
const put = (id: string, offset: number, text: string | number, more: object = {}, caps: LogCaps = small) => {
  const gap = typeof text === 'number' ? { gap: text } : {}
  const query = LogPieceQuery.parse({ epoch: 1, attempt: 1, offset, ...gap, ...more })
  return takeLogPiece(api, { cluster: cluster.id }, id, query, typeof text === 'string' ? bytes(text) : new Uint8Array(), caps)
}
const end = (id: string, code = 0) => cluster.report([], { jobs: [endedJob(id, code)] })
const text = async (id: string, query = '') => (await api.call('GET', `/v1/jobs/${id}/logs${query}`, { token })).body as string

it('what a job died of is said with its last words, in plain text', async () => {
  const told = async (id: string) => {
    const { body } = await api.call('GET', `/v1/jobs/${id}`, { token })
    return endInWords(api.db, body, new AbortController().signal)
  }
  const [dead, well, silent] = [await job(), await job(), await job()]
  await put(dead, 0, 'one\ntwo\n\u001b[31mfatal:\u001b[0m no\u0007\nsuch host\n\n', { complete: '1' })
  await put(well, 0, 'fine\n', { complete: '1' })
  for (const [id, code] of [[dead, 128], [well, 0], [silent, 1]] as const) await end(id, code) // biome-ignore format: a table
  expect(await told(dead)).toBe('It ended with exit code 128. fatal: no such host')
  expect([await told(well), await told(silent)]).toEqual(['It ended with exit code 0.', 'It ended with exit code 1.'])
})

describe('taking', () => {
  it('lays pieces together; what is known is taken, what lies beyond is sent back', async () => {
    const id = await job()
    expect(await put(id, 0, 'one\n')).toMatchObject({ kind: 'taken', answer: { next: 4, complete: false } })
    expect(await put(id, 0, 'one\n')).toMatchObject({ kind: 'taken', answer: { next: 4 } })
    expect(await put(id, 9, 'three\n')).toMatchObject({ kind: 'elsewhere', answer: { next: 4 } })
    expect(await put(id, 2, 'e\ntwo\n', { mark: 'm' })).toMatchObject({ kind: 'taken', answer: { next: 8, mark: 'm' } })
    expect(await put(id, 8, 5)).toMatchObject({ answer: { next: 13 } })
    expect(await put(id, 13, 'three\n')).toMatchObject({ answer: { next: 19 } })
    const ask = LogPieceQuery.parse({ epoch: 1, attempt: 1 })
    expect(await takeLogPiece(api, { cluster: cluster.id }, id, ask, new Uint8Array())).toMatchObject({
      answer: { next: 19, mark: 'm' },
    })
    expect(await put(id, 19, '', { complete: '1' })).toMatchObject({ answer: { complete: true } })
    expect(await text(id)).toBe('one\ntwo\n\n[porthole: 5 bytes of output not kept]\nthree\n')
    expect(await api.db.$count(job_log_chunks)).toBeGreaterThan(0)
  })

  it('40 racers with overlapping pieces leave one stream', async () => {
    const id = await job()
    const whole = Array.from({ length: 400 }, (_, n) => `line ${n}\n`).join('')
    const pieces = Array.from({ length: 40 }, (_, n) => n * 80)
    for (let round = 0; round < 12; round++) {
      const answers = await Promise.all(
        pieces.map(at => put(id, at, whole.slice(at, at + 130), {}, { ...small, totalBytes: 9_000 })),
      )
      if (answers.some(({ answer }) => answer.next >= 40 * 80)) break
    }
    const got = await text(id)
    expect(whole.startsWith(got)).toBe(true)
    expect(got.length).toBeGreaterThan(500)
  })

  it('is fenced by the term of the link, the cluster and the attempt', async () => {
    const id = await job()
    await expect(put(id, 0, 'x', { epoch: 2 })).rejects.toMatchObject({ code: 'conflict' })
    await expect(put(id, 0, 'x', { attempt: 2 })).rejects.toMatchObject({ code: 'not_found' })
    const query = LogPieceQuery.parse({ epoch: 1, attempt: 1, offset: 0 })
    const other = await new FakeCluster(api).connect(capable(0))
    await expect(takeLogPiece(api, { cluster: other.id }, id, query, bytes('x'))).rejects.toMatchObject({ code: 'not_found' })
  })

  it('keeps the beginning and the newest, and one gap that says how much is between', async () => {
    const id = await job()
    const caps: LogCaps = { headBytes: 40_000, totalBytes: 160_000, slackBytes: 20_000 }
    const line = (n: number) => `${String(n).padStart(16_999, '.')}\n`
    for (let n = 0; n < 30; n++) await put(id, n * 17_000, line(n), {}, caps)
    await put(id, 510_000, '', { complete: '1' }, caps)
    const rows = await api.db.execute<{ offset: string; length: string; gap: boolean }>(
      `select "offset", length, data is null as gap from job_log_chunks where job_id = '${id}' order by seq` as never,
    )
    let next = 0
    for (const row of rows) {
      expect(Number(row.offset)).toBe(next)
      next += Number(row.length)
    }
    expect([next, rows.filter(row => row.gap).length]).toEqual([510_000, 1])
    const kept = rows.filter(row => !row.gap).reduce((sum, row) => sum + Number(row.length), 0)
    expect(kept).toBeLessThanOrEqual(caps.totalBytes + caps.slackBytes)
    const got = await text(id)
    expect(got.startsWith(line(0))).toBe(true)
    expect(got.endsWith(line(29))).toBe(true)
    expect(got).toMatch(/\[porthole: \d+ bytes of output not kept\]/)
  })
})

describe('reading', () => {
  it('the last lines, also across rows, and when the last one is not closed', async () => {
    const id = await job()
    const big = 'y'.repeat(17_000)
    await put(id, 0, `first\n${big}\nmiddle\n`, {}, { ...small, totalBytes: 1e6 })
    await put(id, 17_014, 'last\nopen', {}, { ...small, totalBytes: 1e6 })
    expect(await text(id, '?tail_lines=1')).toBe('open')
    expect(await text(id, '?tail_lines=2')).toBe('last\nopen')
    expect(await text(id, '?tail_lines=4')).toBe(`${big}\nmiddle\nlast\nopen`)
    expect(await text(id, '?tail_lines=99')).toContain('first\n')
    expect(await text(id, '?tail_lines=0')).toBe('')
  })

  it('bytes as they were, or safe to show: colours stay, commands to the terminal go', async () => {
    const id = await job()
    const hostile = '\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07\x1b]8;;javascript:x\x1b\\link\x1b[2J\0\x07\x9b1A\u00ff end\n'
    await put(id, 0, hostile)
    const raw = await api.app.request(`${origin}/v1/jobs/${id}/logs?format=raw`, {
      headers: { authorization: `Bearer ${token.token}` },
    })
    expect(Buffer.from(await raw.arrayBuffer()).toString('latin1')).toBe(hostile)
    expect(raw.headers.get('content-type')).toBe('application/octet-stream')
    expect(await text(id)).toBe('\x1b[31mred\x1b[0m link\ufffd1A\ufffd end\n')
  })

  it('every cut of text and sequences shows the same', () => {
    const whole = Buffer.from('añ€😀\x1b[1;31mx\x1b]0;title\x07y\x1b]2;t\x1b\\z\x1b(B\x1bM end')
    const expected = safeText(whole.toString())
    for (let cut = 0; cut <= whole.length; cut++) {
      const length = showable(whole.subarray(0, cut))
      const shown = safeText(whole.subarray(0, length).toString()) + safeText(whole.subarray(length).toString())
      expect([cut, shown]).toEqual([cut, expected])
    }
  })

  it('follows as events from any place to the end, and can be taken up again', async () => {
    const id = await job()
    await put(id, 0, 'one\n')
    await put(id, 4, 3)
    const all = await follow(id, async () => {
      await put(id, 7, 'two \u00e2\u0082')
      await put(id, 13, '\u00ac\n')
      await cluster.report([], { jobs: [seenJob(id, 'running')] })
      await put(id, 15, '', { complete: '1' })
      await end(id)
    })
    const texts = (told: Told[]) => told.map(({ data }) => data.text ?? data.bytes ?? data.status).join('|')
    expect(texts(all)).toMatch(/^one\n\|3\|two \|?€\n\|succeeded$/)
    expect(all.map(({ event }) => event)).toEqual(expect.arrayContaining(['log', 'gap', 'end']))
    const again = await follow(id, async () => {}, all[1]!.id)
    expect(texts(again)).toBe('two €\n|succeeded')
  })

  it('belongs to the project', async () => {
    const id = await job()
    const stranger = await api.mint({ scopes: ['jobs:read'] })
    expect((await api.call('GET', `/v1/jobs/${id}/logs`, { token: stranger })).status).toBe(404)
    expect((await api.call('GET', `/v1/jobs/${id}/logs?attempt=2`, { token })).status).toBe(404)
  })

  it('goes with its job', async () => {
    const id = await job()
    await put(id, 0, 'x')
    await api.db.delete(jobs)
    expect(await api.db.$count(job_log_chunks)).toBe(0)
  })
})

interface Told {
  id: string | undefined
  event: string
  data: { text?: string; bytes?: number; status?: string }
}

/** Everything a follower is told; `then` happens once he has heard something. */
async function follow(id: string, then: () => Promise<void>, last?: string): Promise<Told[]> {
  const response = await api.app.request(`${origin}/v1/jobs/${id}/logs?follow`, {
    headers: { authorization: `Bearer ${token.token}`, ...(last ? { 'last-event-id': last } : {}) },
  })
  const told: Told[] = []
  let whole = ''
  let acted = false
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    whole += chunk
    const blocks = whole.split('\n\n')
    whole = blocks.pop()!
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
      if (field('data')) told.push({ id: field('id'), event: field('event')!, data: JSON.parse(field('data')!) })
    }
    if (!acted && (told.length >= 2 || last)) {
      acted = true
      await then()
    }
  }
  return told
}
