/** Jobs of type manifest, deploy and build as the API takes them: what it refuses at once, what it keeps, what it shows, what the agent gets. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { violations } from '#protocol/manifest/testing/violations.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { endedJob } from '../testing/job-reports.ts'

let api: ApiFixture
let token: Minted
let cluster: FakeCluster
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  cluster = await new FakeCluster(api).connect({
    ...capable(1),
    jobs: { types: ['run', 'manifest', 'deploy', 'build'], capacity: 100 },
  })
  token = await api.mint({ scopes: ['jobs:read', 'jobs:write', 'manifests'] })
})
afterAll(() => api?.close())

const yaml = 'apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {key: hunter2}\n'
const create = (body: object, as = token) => api.call('POST', '/v1/jobs', { token: as, body })

describe('a manifest', () => {
  it('reaches the agent as it was written, and is nowhere else', async () => {
    const { status, body } = await create({ type: 'manifest', yaml, set: 'shop' })
    expect([status, body.detail]).toEqual([201, undefined])
    expect(body.spec).toEqual({ action: 'apply', set: 'shop', dry_run: false, prune: true, wait: true })
    const [wanted] = await cluster.desiredJobs()
    expect(wanted).toMatchObject({ id: body.id, spec: { type: 'manifest', yaml, set: 'shop' } })
    const [dump] = await api.db.execute<{ all: string }>(
      sql`select string_agg(j::text, ' ') || (select string_agg(e::text, ' ') from events e) as all from jobs j`,
    )
    expect(dump!.all).not.toMatch(/hunter2|stringData/)
    await cluster.report([], { jobs: [endedJob(body.id, 0)] })
  })

  it.each(violations)('is refused with its place: $name', async ({ text, pointer }) => {
    const { status, body } = await create({ type: 'manifest', yaml: text, dry_run: true })
    expect(status).toBe(422)
    const told = body.errors.map((error: { pointer: string }) => error.pointer)
    expect(text.length > 256 * 1024 ? ['/yaml'] : told).toContain(`/yaml${pointer}`)
  })

  it.each(['manifest', 'deploy'])('a token without the scope manifests may not: %s', async type => {
    const weak = await api.mint({ project: token.project, scopes: ['jobs:read', 'jobs:write'] })
    const answer = await create(type === 'manifest' ? { type, yaml } : { type, mappings: { web: 'a:1' } }, weak)
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden'])
    const made = await create({ type: 'manifest', yaml })
    for (const [method, path] of [['DELETE', ''], ['POST', '/retry']] as const) // biome-ignore format: a table
      expect((await api.call(method, `/v1/jobs/${made.body.id}${path}`, { token: weak, body: {} })).status).toBe(403)
  })
})

describe('a deploy and a build', () => {
  it('reach the agent', async () => {
    const deploy = await create({
      type: 'deploy',
      mappings: { web: 'registry.example.com/web:2', 'statefulset/db/main': 'db:1' },
    })
    expect([deploy.status, deploy.body.detail]).toEqual([201, undefined])
    const build = await create({
      type: 'build',
      git: { url: 'https://git.example.com/a.git', ref: 'main' },
      image: 'registry.example.com/team/app',
    })
    expect([build.status, build.body.detail]).toEqual([201, undefined])
    const specs = (await cluster.desiredJobs()).map(job => job.spec)
    expect(specs).toContainEqual(expect.objectContaining({ type: 'deploy', ready_timeout_ms: 300_000 }))
    expect(specs).toContainEqual(
      expect.objectContaining({ type: 'build', action: 'build', push: true, registry: 'registry.example.com' }),
    )
  })

  it.each([
    [{ type: 'deploy', mappings: {} }, '/mappings'],
    [{ type: 'deploy', mappings: { web: 'a b' } }, '/mappings/web'],
    [{ type: 'deploy', mappings: { 'daemonset/x/y': 'a:1' } }, '/mappings/daemonset~1x~1y'],
    [{ type: 'deploy', mappings: { web: 'a:1' }, namespace: '../x' }, '/namespace'],
    [{ type: 'build', git: { url: 'file:///etc' } }, '/git/url'],
    [{ type: 'build', git: { url: 'ext::sh -c id' } }, '/git/url'],
    [{ type: 'build', git: { url: 'https://169.254.169.254/a' } }, '/git/url'],
    [{ type: 'build', git: { url: 'https://g.example/a', ref: '--upload-pack=x' } }, '/git/ref'],
    [{ type: 'build', git: { url: 'https://g.example/a' }, dockerfile: '../../etc/passwd' }, '/dockerfile'],
    [{ type: 'build', git: { url: 'https://g.example/a' }, image: 'registry.example.com/app:tag' }, '/image'],
    [{ type: 'build', git: { url: 'https://g.example/a' }, tags: ['a b'] }, '/tags/0'],
    [{ type: 'build', git: { url: 'https://g.example/a' }, push: true }, '/image'],
    [{ type: 'build', git: { url: 'https://g.example/a', secret: 'nowhere' } }, '/git/secret'],
    [{ type: 'build', git: { url: 'https://g.example/a' }, build_args: { 'A-B': 'x' } }, '/build_args/A-B'],
  ])('%j is refused with a pointer', async (body, pointer) => {
    const answer = await create(body)
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([422, pointer])
  })
})

it('a look at a repository answers what the cluster found', async () => {
  const asked = api.call('POST', '/v1/jobs/inspect', { token, body: { git: { url: 'https://git.example.com/look.git' } } })
  const isIt = (job: { spec?: unknown }) => JSON.stringify(job.spec ?? {}).includes('look.git')
  let job: { id: string } | undefined
  while (!job) job = (await cluster.desiredJobs()).find(isIt)
  const result = {
    commit: 'a'.repeat(40),
    branches: ['main'],
    default_branch: 'main',
    dockerfile: { path: 'Dockerfile', args: [], stages: [] },
  }
  await cluster.report([], { jobs: [endedJob(job.id, 0, { result })] })
  expect((await asked).body).toMatchObject({ object: 'inspection', status: 'succeeded', ...result })
})
