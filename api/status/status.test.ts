import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sessions } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { newId } from '../ids.ts'
import { type ApiFixture, apiFixture } from '../testing/api-fixture.ts'
import { exposition } from './exposition.ts'
import { RequestMeter } from './request-meter.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture()
})
afterAll(() => api?.close())

/** A strict reader of the format: throws on any line it does not understand. */
function read(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.trimEnd().split('\n')) {
    if (/^# (HELP|TYPE) [a-z_:]+ \S/.test(line)) continue
    const match = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[\d.e+-]+|NaN|[+-]Inf)$/.exec(line)
    if (!match) throw new Error(`not a sample: ${line}`)
    const name = match[1]! + (match[2] ?? '')
    if (samples.has(name)) throw new Error(`twice: ${name}`)
    samples.set(name, Number(match[3]!.replace('Inf', 'Infinity')))
  }
  return samples
}

describe('/metrics', () => {
  it('is valid text with sessions, clusters, streams, requests, process and database', async () => {
    await api.call('GET', '/v1/me', { token: api.admin })
    await api.call('GET', '/v1/me', { token: 'rubbish' })
    await api.call('GET', `/v1/tokens/${'x'.repeat(50)}`, { token: api.admin })
    await api.call('GET', '/nowhere/"\\')
    const { status, headers, body } = await api.call('GET', '/metrics')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const samples = read(body)
    expect(samples.get('porthole_database_up')).toBe(1)
    expect(samples.get('porthole_sessions{status="running"}')).toBe(0)
    expect(samples.get('porthole_clusters{status="online"}')).toBe(0)
    expect(samples.get('porthole_streams{kind="vnc"}')).toBe(0)
    expect(samples.get('process_cpu_seconds_total')).toBe(1)
    expect(samples.get('porthole_http_requests_total{method="GET",route="/v1/me",status="200"}')).toBe(1)
    expect(samples.get('porthole_http_requests_total{method="GET",route="/v1/tokens/:id",status="404"}')).toBe(1)
    const wrong = [...samples].filter(([name]) => name.includes('status="401"'))
    expect(wrong.reduce((sum, [, value]) => sum + value, 0)).toBe(1)
    expect(body).not.toContain('nowhere')
    expect(body).not.toContain(api.admin.project)
  })

  it('histograms are cumulative and end with the count', () => {
    const meter = new RequestMeter()
    for (const seconds of [0.001, 0.005, 0.2, 3, 60]) meter.record('GET', '/x', 200, seconds)
    const samples = read(exposition(meter.families()))
    const bucket = (le: string) => samples.get(`porthole_http_request_duration_seconds_bucket{route="/x",le="${le}"}`)
    expect([bucket('0.005'), bucket('0.1'), bucket('0.25'), bucket('5'), bucket('10'), bucket('+Inf')]).toEqual([
      2, 2, 3, 4, 4, 5,
    ])
    expect(samples.get('porthole_http_request_duration_seconds_count{route="/x"}')).toBe(5)
    expect(samples.get('porthole_http_request_duration_seconds_sum{route="/x"}')).toBeCloseTo(63.206)
  })

  it('whatever a label or a help says, the text stays readable', () => {
    const any = fc.string({ unit: fc.constantFrom('"', '\\', '\n', '\r', '{', '}', ',', '=', 'a', ' ', '\u0000') })
    fc.assert(
      fc.property(any, any, (value, help) => {
        const text = exposition([{ name: 'x', help: `h${help}`, type: 'gauge', samples: [{ labels: { l: value }, value: 1 }] }])
        return text.split('\n').length === 4 && text.split('\n')[2]!.startsWith('x{l="') && text.endsWith('} 1\n')
      }),
    )
  })
})

describe('load', () => {
  it('counts what the actor may use, and whether there is room', async () => {
    const ann = await api.mint({ scopes: ['clusters:read'] })
    const eve = await api.mint({ scopes: ['clusters:read'] })
    const made = await api.call('POST', '/v1/clusters', { token: api.admin, body: { name: 'mine', project: ann.project } })
    const of = async (token: typeof ann) => (await api.call('GET', '/v1/status', { token })).body
    expect(await of(ann)).toMatchObject({
      object: 'status',
      active: 0,
      queued: 0,
      capacity: 0,
      accepting: false,
      clusters: { pending: 1 },
    })
    await api.db.execute(sql`update clusters set agent_id = 'agt_1', link_replica_id = 'r', link_seen_at = clock_timestamp(),
      capabilities = '{"runtime":"local","kinds":[],"browsers":[],"features":[],"versions":{},"notes":[],
        "capacity":{"sessions":2,"cpu_millis":1000,"memory_bytes":null}}'::jsonb,
      load = '{"sessions":1,"streams":0,"cpu_millis_used":250,"memory_bytes_used":5}'::jsonb where id = ${made.body.id}`)
    expect(await of(ann)).toMatchObject({ capacity: 2, accepting: true, clusters: { online: 1, pending: 0 } })
    const put = (status: 'running' | 'queued') =>
      api.db.insert(sessions).values({
        id: newId('ses'),
        project_id: ann.project,
        user_id: 'ann',
        created_by: 'x',
        template_id: 'x',
        cluster_id: status === 'queued' ? null : made.body.id,
        spec: {} as SessionSpec,
        status,
      })
    await put('running')
    await put('queued')
    expect(await of(ann)).toMatchObject({ active: 1, queued: 1, accepting: true })
    await put('running')
    expect(await of(ann)).toMatchObject({ active: 2, capacity: 2, accepting: false })
    expect(await of(eve)).toMatchObject({ active: 0, queued: 0, capacity: 0, clusters: { online: 0, offline: 0, pending: 0 } })
    const figures = (await api.call('GET', '/v1/monitor/clusters', { token: ann })).body.data
    expect(figures).toMatchObject([
      {
        name: 'mine',
        status: 'online',
        sessions: { running: 2, capacity: 2 },
        cpu_millis: { used: 250, capacity: 1000 },
        memory_bytes: { used: 5, capacity: null },
      },
    ])
    expect((await api.call('GET', '/v1/monitor/clusters', { token: eve })).body.data).toEqual([])
  })

  it('figures of the system are an admin’s, and hold no address and no secret', async () => {
    const { status, body } = await api.call('GET', '/v1/monitor/system', { token: api.admin })
    expect(status).toBe(200)
    expect(body).toMatchObject({ object: 'system', id: 'rep_test', database: { max_connections: expect.any(Number) } })
    expect(JSON.stringify(body)).not.toMatch(/postgres:\/\/|password/)
    expect((await api.call('GET', '/v1/monitor/system', { token: await api.mint({ scopes: ['clusters:admin'] }) })).status).toBe(
      403,
    )
  })

  it('health asks nobody; ready says 503 without the database, and metrics still answer', async () => {
    const lost = await apiFixture()
    expect((await lost.call('GET', '/ready')).body).toMatchObject({ status: 'ok' })
    await lost.client.end({ timeout: 1 })
    expect((await lost.call('GET', '/health')).status).toBe(200)
    const ready = await lost.call('GET', '/ready')
    expect(ready).toMatchObject({ status: 503, body: { code: 'unavailable' } })
    expect(ready.headers.get('retry-after')).toBe('1')
    const metrics = await lost.call('GET', '/metrics')
    expect(read(metrics.body).get('porthole_database_up')).toBe(0)
    await lost.close()
  })
})
