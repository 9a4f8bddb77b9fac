import { and, eq, isNull, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { settings, templates } from '#db/schema.ts'
import { textArray } from '#db/together.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { loadBuiltinTemplates } from './builtin.ts'
import type { TemplateBody } from './schema.ts'
import { templatesOf } from './service.ts'

let api: ApiFixture
let ann: Minted
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  ann = await api.mint({ user: 'ann', scopes: ['sessions:read', 'sessions:write'] })
  await loadBuiltinTemplates(api.db)
})
afterAll(() => api?.close())

async function templatesFor(project: string, ids: string[]): Promise<Map<string, TemplateBody>> {
  const rows = await api.db.execute<{ id: string; body: TemplateBody }>(
    templatesOf(sql`${project}`, sql`${textArray(ids)}::text[]`),
  )
  return new Map(rows.map(({ id, body }) => [id, body]))
}

const post = (body: unknown, token: Minted = ann) => api.call('POST', '/v1/templates', { token, body })

describe('the built-in catalogue', () => {
  it('is there for every project', async () => {
    const { body } = await api.call('GET', '/v1/templates', { token: ann })
    expect(body.data.map((t: { id: string }) => t.id).sort()).toEqual(['chromium', 'desktop', 'firefox', 'webkit'])
    expect((await api.call('GET', '/v1/templates/chromium', { token: ann })).body).toMatchObject({
      object: 'template',
      kind: 'browser',
      browser: 'chromium',
      project: null,
    })
    expect((await api.call('GET', '/v1/templates?kind=desktop', { token: ann })).body.data).toHaveLength(1)
    expect((await api.call('GET', '/v1/templates?category=Browsers', { token: ann })).body.data).toHaveLength(3)
  })

  it('pages through ids that hold a dash', async () => {
    const other = await api.mint({ scopes: ['sessions:read', 'sessions:write'] })
    for (const id of ['a-1', 'a-2', 'a-3']) await post({ id, name: id, kind: 'desktop' }, other)
    const seen: string[] = []
    for (let cursor = ''; cursor !== null; ) {
      const { status, body } = await api.call('GET', `/v1/templates?limit=2${cursor && `&cursor=${cursor}`}`, { token: other })
      expect(status).toBe(200)
      seen.push(...body.data.map((t: { id: string }) => t.id))
      cursor = body.next_cursor
    }
    expect(seen).toHaveLength(7)
    expect(new Set(seen).size).toBe(7)
  })

  it('loads again without harm, also on many replicas at once; follows a new version; leaves what people changed or removed', async () => {
    const scratch = await apiFixture()
    const builtin = (description: string) => [
      { id: 'one', name: 'One', description, kind: 'browser' },
      { id: 'two', name: 'Two', description, kind: 'desktop' },
      { id: 'three', name: 'Three', description, kind: 'desktop' },
    ]
    const rows = () => scratch.db.select().from(templates).where(isNull(templates.project_id)).orderBy(templates.id)
    await Promise.all(Array.from({ length: 8 }, () => loadBuiltinTemplates(scratch.db, builtin('old'))))
    expect((await rows()).map(row => row.id)).toEqual(['one', 'three', 'two'])
    const shown = (await scratch.call('GET', '/v1/templates/two', { token: scratch.admin })).body
    await scratch.call('PUT', '/v1/templates/two', { token: scratch.admin, body: { ...shown, name: 'Ours' } })
    await scratch.call('DELETE', '/v1/templates/three', { token: scratch.admin })
    await loadBuiltinTemplates(scratch.db, builtin('new'))
    expect((await rows()).map(({ id, name, description }) => [id, name, description])).toEqual([
      ['one', 'One', 'new'],
      ['two', 'Ours', 'old'],
    ])
    expect(await scratch.db.select().from(settings).where(eq(settings.key, 'builtin_templates'))).toHaveLength(1)
    await scratch.close()
  })
})

describe('own templates', () => {
  it('round trip: what GET answers can be PUT back', async () => {
    const body = {
      id: 'ci-runner',
      name: 'CI',
      description: 'Two lines\nof text',
      kind: 'app',
      image: 'registry.example/team/app:1.2@sha256:abc',
      command: ['/bin/app', '--full'],
      display: { width: 800, height: 600 },
      resources: { cpu: '2', memory: '2Gi', storage: '10Gi' },
      requests: { cpu: '500m', memory: '512Mi' },
      env: { A: '1' },
      ports: [{ name: 'web', port: 8080 }],
      volume: { size: '5Gi' },
      restart: 'on_failure',
      ttl_seconds: 3600,
      idle_timeout_seconds: 600,
      start_timeout_seconds: 60,
      clipboard: 'in',
      egress: { mode: 'public', allow: ['10.0.0.0/8'] },
      recording: true,
      labels: { team: 'a' },
      overridable: ['display', 'env'],
    }
    const made = await post(body)
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ ...body, object: 'template', project: ann.project })
    const put = await api.call('PUT', '/v1/templates/ci-runner', { token: ann, body: { ...made.body, name: 'CI 2' } })
    expect(put.status).toBe(200)
    expect(put.body).toEqual({ ...made.body, name: 'CI 2', updated_at: put.body.updated_at })
    const bare = await api.call('PUT', '/v1/templates/ci-runner', { token: ann, body: { name: 'CI 3', kind: 'desktop' } })
    expect(bare.body.image).toBeUndefined()
    expect((await post(body)).status).toBe(409)
    expect((await api.call('DELETE', '/v1/templates/ci-runner', { token: ann })).status).toBe(204)
    expect((await api.call('GET', '/v1/templates/ci-runner', { token: ann })).status).toBe(404)
  })

  it('are seen by their project only; everybody’s are an admin’s to change', async () => {
    await post({ id: 'secret', name: 'Secret', kind: 'desktop' })
    const eve = await api.mint({ user: 'eve', scopes: ['sessions:read', 'sessions:write'] })
    for (const method of ['GET', 'DELETE'] as const) {
      expect((await api.call(method, '/v1/templates/secret', { token: eve })).status).toBe(404)
    }
    expect((await api.call('PUT', '/v1/templates/secret', { token: eve, body: { name: 'x', kind: 'desktop' } })).status).toBe(404)
    expect((await templatesFor(eve.project, ['secret'])).size).toBe(0)
    expect((await templatesFor(ann.project, ['secret'])).get('secret')).toMatchObject({ kind: 'desktop' })
    expect((await api.call('DELETE', '/v1/templates/chromium', { token: eve })).status).toBe(403)
    expect((await api.call('PUT', '/v1/templates/chromium', { token: eve, body: { name: 'x', kind: 'desktop' } })).status).toBe(
      403,
    )
    expect((await post({ id: 'x', name: 'x', kind: 'desktop', project: ann.project }, eve)).status).toBe(403)
    expect((await post({ id: 'shared', name: 'x', kind: 'desktop' }, api.admin)).body.project).toBeNull()
    const forAnn = await post({ id: 'for-ann', name: 'x', kind: 'desktop', project: ann.project }, api.admin)
    expect(forAnn.body.project).toBe(ann.project)
  })

  it('come before everybody’s of the same id, for that project only, even when an admin asks', async () => {
    await post({ id: 'firefox', name: 'Our Firefox', kind: 'browser', browser: 'firefox', start_url: 'https://ours.example/' })
    expect((await api.call('GET', '/v1/templates/firefox', { token: ann })).body.name).toBe('Our Firefox')
    expect((await api.call('GET', '/v1/templates/firefox', { token: api.admin })).body.name).toBe('Firefox')
    expect((await templatesFor(api.admin.project, ['firefox'])).get('firefox')?.start_url).toBeUndefined()
    expect((await templatesFor(ann.project, ['firefox'])).get('firefox')?.start_url).toBe('https://ours.example/')
    await api.call('DELETE', '/v1/templates/firefox', { token: ann })
    const shared = await api.db
      .select()
      .from(templates)
      .where(and(eq(templates.id, 'firefox'), isNull(templates.project_id)))
    expect(shared).toHaveLength(1)
  })
})

describe('bad input says what to change', () => {
  const good = { id: 'x', name: 'x', kind: 'browser' }
  it.each<[string, unknown, string]>([
    ['nothing', {}, '/id'],
    ['an id in upper case', { ...good, id: 'Chromium' }, '/id'],
    ['an id with a path', { ...good, id: '../x' }, '/id'],
    ['an id of 64', { ...good, id: 'x'.repeat(64) }, '/id'],
    ['an id that ends in a dash', { ...good, id: 'x-' }, '/id'],
    ['an unknown kind', { ...good, kind: 'vm' }, '/kind'],
    ['an unknown browser', { ...good, browser: 'opera' }, '/browser'],
    ['a browser on a desktop', { ...good, kind: 'desktop', browser: 'chromium' }, '/browser'],
    ['a start page on a desktop', { ...good, kind: 'desktop', start_url: 'https://x.example' }, '/start_url'],
    ['an app of nothing', { ...good, kind: 'app' }, '/image'],
    ['a file URL', { ...good, start_url: 'file:///etc/passwd' }, '/start_url'],
    ['a script URL', { ...good, start_url: 'javascript:alert(1)' }, '/start_url'],
    ['a hidden script URL', { ...good, start_url: ' javascript:alert(1)' }, '/start_url'],
    ['a display of 1x1', { ...good, display: { width: 1, height: 1 } }, '/display/width'],
    ['a display of 99999', { ...good, display: { width: 99_999, height: 99_999 } }, '/display/width'],
    ['ttl 0', { ...good, ttl_seconds: 0 }, '/ttl_seconds'],
    ['ttl -1', { ...good, ttl_seconds: -1 }, '/ttl_seconds'],
    ['ttl 2^31', { ...good, ttl_seconds: 2 ** 31 }, '/ttl_seconds'],
    ['cpu in words', { ...good, resources: { cpu: 'many' } }, '/resources/cpu'],
    ['cpu of 1e9 cores', { ...good, resources: { cpu: '1e9' } }, '/resources/cpu'],
    ['negative memory', { ...good, resources: { memory: '-1Gi' } }, '/resources/memory'],
    ['memory as a number', { ...good, resources: { memory: 512 } }, '/resources/memory'],
    ['a request above its limit', { ...good, resources: { cpu: '1' }, requests: { cpu: '1001m' } }, '/requests'],
    ['an unknown resource', { ...good, resources: { gpu: '1' } }, '/resources/gpu'],
    ['a variable with a dash', { ...good, env: { 'A-B': '1' } }, '/env/A-B'],
    ['a variable with a NUL', { ...good, env: { A: 'a\0b' } }, '/env/A'],
    ['101 variables', { ...good, env: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`V${i}`, ''])) }, '/env'],
    ['port 0', { ...good, ports: [{ name: 'a', port: 0 }] }, '/ports/0/port'],
    ['port 65536', { ...good, ports: [{ name: 'a', port: 65_536 }] }, '/ports/0/port'],
    [
      'one port twice',
      {
        ...good,
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      '/ports',
    ],
    ['an image with a space', { ...good, image: 'a b' }, '/image'],
    ['an image that is an option', { ...good, image: '--privileged' }, '/image'],
    ['an empty command', { ...good, command: [] }, '/command'],
    ['an unknown egress', { ...good, egress: { mode: 'some' } }, '/egress/mode'],
    ['a label of 64', { ...good, labels: { a: 'x'.repeat(64) } }, '/labels/a'],
    ['a name that turns writing around', { ...good, name: 'a\u202eb' }, '/name'],
    ['a name of a megabyte', { ...good, name: 'x'.repeat(900_000) }, '/name'],
    ['an escape in the description', { ...good, description: '\u001b[2J' }, '/description'],
    ['an unknown field', { ...good, privileged: true }, '/privileged'],
    ['an unknown override', { ...good, overridable: ['image'] }, '/overridable/0'],
  ])('%s', async (_, body, pointer) => {
    const answer = await post(body)
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(answer.body.errors[0].pointer).toBe(pointer)
    expect(answer.body.errors[0].detail.length).toBeGreaterThan(5)
  })
})
