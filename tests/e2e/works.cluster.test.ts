/**
 * Manifests, deploys, builds, and terminals in what they run, on a real cluster through the API. The agent is outside of it, with the rights of its own
 * ServiceAccount, behind a network that can be cut. The image is `PORTHOLE_TEST_JOB_IMAGE` (default `busybox:local`, busybox's, on the node);
 * builds need what `agent/runtimes/testing/build-lab.ts` says.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BuildLab, buildLab, whyNoBuilds } from '#agent/runtimes/testing/build-lab.ts'
import { type SessionsNamespace, sessionsNamespace, testImages } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'
import { type CutNetwork, cutNetwork } from './cut-network.ts'
import { type OutsideAgent, outsideAgent } from './outside-agent.ts'
import { openTerminalView, type TerminalView } from './terminal-view.ts'

const image = process.env.PORTHOLE_TEST_JOB_IMAGE ?? 'busybox:local'
const namespace = `test-${randomBytes(4).toString('hex')}-team`
let porthole: ApiProgram
let place: SessionsNamespace
let network: CutNetwork
let agent: OutsideAgent
let cluster: string

beforeAll(async () => {
  porthole = await startApiProgram('127.0.0.1')
  network = await cutNetwork(porthole.url)
  place = await sessionsNamespace({ projects: [{ project: '*', namespace, createNamespace: true }] })
  const made = await porthole.api('POST', '/v1/clusters', { name: 'real' })
  cluster = made.body.id
  const environment = {
    ...place.environment,
    PORTHOLE_RUNTIME: 'kubernetes',
    PORTHOLE_IMAGE_PULL_POLICY: 'IfNotPresent',
    PORTHOLE_SELF_TEST: 'off',
    PORTHOLE_ALLOWED_IMAGES: '',
    PORTHOLE_HEALTH_PORT: '',
    PORTHOLE_IMAGE_BUILDER: `${testImages.prefix}/builder:${process.env.PORTHOLE_TEST_BUILDER_TAG ?? testImages.tag}`,
    PORTHOLE_BUILD_SECCOMP_PROFILE: 'porthole/build.json',
    PORTHOLE_GIT_SCHEMES: 'git,https',
  }
  agent = outsideAgent({ ...place, environment }, network.url, made.body.enrollment.token)
  agent.start()
  await porthole.eventually(`/v1/clusters/${cluster}`, found => found.status === 'online', 240)
})
afterAll(async () => {
  await agent?.dispose()
  await network?.close()
  await place?.admin.ask('DELETE', `/api/v1/namespaces/${namespace}`)
  await place?.dispose()
  await porthole?.stop()
})

const final = ['succeeded', 'failed', 'canceled']
async function begin(body: object): Promise<string> {
  const { status, body: job } = await porthole.api('POST', '/v1/jobs', body)
  expect([status, job.detail]).toEqual([201, undefined])
  return job.id
}
const over = (id: string) => porthole.eventually(`/v1/jobs/${id}`, job => final.includes(job.status), 300)
const done = async (body: object) => over(await begin(body))
const manifest = (yaml: string, more: object = {}) => done({ type: 'manifest', yaml, ...more })
const log = async (id: string, query = '') => (await porthole.api('GET', `/v1/jobs/${id}/logs${query}`)).body as string
const get = (path: string) => place.admin.ask('GET', path.replace('{ns}', `namespaces/${namespace}`))
const imageOf = async (name: string) =>
  // biome-ignore lint/suspicious/noExplicitAny: whatever the cluster answers
  ((await get(`/apis/apps/v1/{ns}/deployments/${name}`)).body as any).spec.template.spec.containers[0].image as string
const pods = (job: { resources: { kind: string; name: string }[] }, app: string) =>
  job.resources.find(({ kind, name }) => kind === 'Pod' && name.startsWith(app))!.name
const changes = (job: { result: { changes: { kind: string; name: string; change: string }[] } }) =>
  Object.fromEntries(job.result.changes.map(({ kind, name, change }) => [`${kind}/${name}`, change]))
const states = (job: { resources: { kind: string; name: string; state: string }[] }) =>
  Object.fromEntries(
    job.resources.filter(({ kind }) => kind !== 'Pod').map(({ kind, name, state }) => [`${kind}/${name}`, state]),
  )

const template = (command: string) => `
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: ${image}
          command: [sh, -c, ${JSON.stringify(command)}]
          securityContext: {runAsUser: 1000}
          resources: {limits: {cpu: 200m, memory: 32Mi}}`
const settings = (mode: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: ${mode}}\n`
const service =
  'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n'
const deployment = (command = 'echo serving; sleep 3600') =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n  selector: {matchLabels: {app: web}}\n  template:${template(command)}\n`
const task = (command: string) =>
  `apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec:\n  backoffLimit: 0\n  template:${template(command).replace('{app: web}', '{app: migrate}')}\n`
const all = (...documents: string[]) => documents.join('---\n')

/** Types in it, resizes it, cuts the network under it, comes back where it was, and ends it. */
async function exercise(target: object, greeting: RegExp, last = ':'): Promise<void> {
  const made = await porthole.api('POST', '/v1/terminals', { cols: 100, rows: 30, ...target })
  expect([made.status, made.body.detail]).toEqual([201, undefined])
  const { id } = made.body
  const first = await openTerminalView(porthole, id)
  first.type('stty size; kept=treasure; echo pid=$$.; hostname')
  await first.until(greeting)
  const [, pid] = await first.until(/30 100[\s\S]*pid=(\d+)\./)
  first.resize(132, 43)
  first.type('until stty size | grep -q "43 132"; do sleep 0.2; done; echo re""sized')
  await first.until(/resized/)
  first.type('(sleep 3; echo while you were aw""ay) &')
  await first.until(/aw""ay\) &/)
  const offset = first.offset()
  network.cut()
  await first.closed
  network.mend()
  await porthole.eventually(`/v1/clusters/${cluster}`, found => found.connected, 120)
  const again = await reopened(id, offset)
  await again.until(/while you were away/)
  again.type('echo $kept pid=$$.')
  expect((await again.until(/treasure pid=(\d+)\./))[1]).toBe(pid)
  again.type(`${last}; echo "fare""well"`)
  await again.until(/farewell/)
  await porthole.api('DELETE', `/v1/terminals/${id}`)
  await again.closed
}

/** The link may be up again before the cluster is said to be there. */
async function reopened(id: string, offset: number): Promise<TerminalView> {
  for (let tries = 0; ; tries++) {
    try {
      return await openTerminalView(porthole, id, offset)
    } catch (error) {
      if (tries === 40) throw error
      await new Promise(resolve => setTimeout(resolve, 500))
    }
  }
}

it('a manifest: dry run, applied, entered, its pods’ output, diffed, pruned, deleted', async () => {
  const one = all(settings('one'), service, deployment(), task('for i in 1 2 3; do echo step $i; done; echo "at $(hostname)"'))
  const dry = await manifest(one, { set: 'shop', dry_run: true })
  expect([dry.status, changes(dry)]).toEqual([
    'succeeded',
    { 'ConfigMap/settings': 'create', 'Service/web': 'create', 'Deployment/web': 'create', 'Job/migrate': 'create' },
  ])
  expect((await get('/api/v1/{ns}/configmaps/settings')).status).toBe(404)

  const applied = await manifest(one, { set: 'shop' })
  expect([applied.status, states(applied)]).toEqual([
    'succeeded',
    { 'ConfigMap/settings': 'present', 'Service/web': 'present', 'Deployment/web': 'available', 'Job/migrate': 'complete' },
  ])
  const pods = (applied.resources as { kind: string; name: string }[])
    .filter(({ kind }) => kind === 'Pod')
    .map(({ name }) => name)
  const [ofJob, ofDeployment] = ['migrate', 'web'].map(app => pods.find(name => name.startsWith(app))!)
  const steps = 'step 1\nstep 2\nstep 3\n'
  expect(await log(applied.id, `?pod=${ofJob}&container=main`)).toBe(`${steps}at ${ofJob}\n`)
  expect(await log(applied.id, `?pod=${ofJob}&tail_lines=2`)).toBe(`step 3\nat ${ofJob}\n`)
  expect(await log(applied.id, `?pod=${ofDeployment}`)).toBe('serving\n')
  expect(await log(applied.id, '?pod=nobody')).toBe('')
  expect(await log(applied.id)).toMatch(/Deployment\/web: available/)

  await exercise({ job: applied.id }, new RegExp(`^${ofDeployment}`, 'm'))
  expect((await porthole.api('POST', '/v1/terminals', { job: applied.id, pod: ofDeployment, container: 'nope' })).status).toBe(
    201,
  )
  expect((await porthole.api('DELETE', `/v1/terminals?job=${applied.id}`)).status).toBe(204)
  expect((await porthole.api('GET', `/v1/terminals?job=${applied.id}`)).body.data).toEqual([])

  const two = all(settings('two'), deployment())
  const diff = await manifest(two, { set: 'shop', dry_run: true })
  expect(changes(diff)).toEqual({
    'ConfigMap/settings': 'update',
    'Deployment/web': 'unchanged',
    'Service/web': 'delete',
    'Job/migrate': 'delete',
  })
  expect(JSON.stringify(diff.result)).toMatch(/-\s+mode: one\\n\+\s+mode: two/)
  const again = await manifest(two, { set: 'shop' })
  expect(again.status).toBe('succeeded')
  expect((await get('/api/v1/{ns}/services/web')).status).toBe(404)
  expect((await get('/apis/batch/v1/{ns}/jobs/migrate')).status).toBe(404)
  expect((await porthole.api('DELETE', `/v1/jobs/${again.id}`)).status).toBe(204)
  await expect.poll(async () => (await get('/apis/apps/v1/{ns}/deployments/web')).status, { timeout: 120_000 }).toBe(404)
  await expect.poll(async () => (await get('/api/v1/{ns}/configmaps/settings')).status, { timeout: 120_000 }).toBe(404)
})

it('what a manifest left running is read while it writes, until its reader leaves', async () => {
  const tick = deployment('n=0; while true; do n=$((n+1)); echo tick $n; sleep 1; done')
  const applied = await manifest(all(tick, task('echo migrated')), { set: 'ticks' })
  expect(applied.status).toBe('succeeded')
  const path = `/v1/jobs/${applied.id}/logs?live=true`
  const read = (query: string, more: RequestInit = {}) =>
    fetch(`${porthole.url}${path}${query}`, {
      ...more,
      headers: { authorization: `Bearer ${porthole.token}`, accept: 'text/plain' },
    })

  const left = new AbortController()
  const answer = await read('&follow=true&tail_lines=1', { signal: left.signal })
  expect([answer.status, answer.headers.get('x-log-stream')]).toEqual([200, `${pods(applied, 'web')}/main`])
  expect(answer.headers.get('x-log-streams')!.split(', ').sort()).toEqual(
    [`${pods(applied, 'migrate')}/main`, `${pods(applied, 'web')}/main`].sort(),
  )
  let seen = ''
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  const ticks = () => [...seen.matchAll(/tick (\d+)\n/g)].map(([, n]) => Number(n))
  while (ticks().length < 5) seen += (await reader.read()).value!
  const first = ticks()[0]!
  expect(ticks().slice(0, 5)).toEqual([0, 1, 2, 3, 4].map(n => first + n))
  expect(await log(applied.id, `?pod=${pods(applied, 'web')}`)).not.toContain(`tick ${first + 4}\n`)
  // The agent lets go of it: nothing is carried for a reader that left.
  const streams = async () => (await porthole.api('GET', `/v1/clusters/${cluster}`)).body.load.streams
  await expect.poll(streams, { timeout: 120_000, interval: 500 }).toBeGreaterThan(0)
  left.abort()
  await expect.poll(streams, { timeout: 120_000, interval: 500 }).toBe(0)

  const done = await read(`&pod=${pods(applied, 'migrate')}`)
  expect(await done.text()).toBe('migrated\n')
  expect((await porthole.api('GET', `${path}&pod=nobody`)).body).toMatchObject({
    status: 404,
    detail: expect.stringContaining('no pod nobody'),
  })
  expect((await porthole.api('DELETE', `/v1/jobs/${applied.id}`)).status).toBe(204)
  await expect.poll(async () => (await get('/apis/apps/v1/{ns}/deployments/web')).status, { timeout: 120_000 }).toBe(404)
})

describe('a deploy', () => {
  let base: string
  beforeAll(async () => {
    const made = await manifest(deployment(), { set: 'base' })
    expect(made.status).toBe('succeeded')
    base = made.id
  })
  afterAll(async () => {
    await porthole.api('DELETE', `/v1/jobs/${base}`)
  })
  const other = image.includes('/') ? image : `docker.io/library/${image}`

  it('succeeds, and what it rolled out can be entered', async () => {
    const job = await done({ type: 'deploy', mappings: { web: other } })
    expect(job).toMatchObject({ status: 'succeeded', progress: { percent: 100 } })
    expect(await imageOf('web')).toBe(other)
    await exercise({ job: job.id }, /^web-/m)
  })

  it('that cannot succeed goes back, and says why', async () => {
    const job = await done({ type: 'deploy', mappings: { 'deployment/web/main': 'localhost/nowhere:none' } })
    expect(job).toMatchObject({ status: 'failed', result: { rolled_back: true } })
    expect(job.status_reason).toMatch(/rolled back: Deployment\/web: container main: .*all services run what they ran before/)
    expect(await imageOf('web')).toBe(other)
  })

  it('canceled while it rolls out goes back, and is canceled', async () => {
    const before = await imageOf('web')
    const slow = { type: 'deploy', mappings: { web: 'localhost/nowhere:late' }, ready_timeout_seconds: 300 }
    const id = await begin(slow)
    await porthole.eventually(`/v1/jobs/${id}`, job => (job.progress?.percent ?? 0) >= 10, 120)
    expect((await porthole.api('POST', `/v1/jobs/${id}/cancel`, {})).status).toBe(200)
    const job = await over(id)
    expect(job).toMatchObject({ status: 'canceled', cause: 'canceled', result: { rolled_back: true } })
    expect(await imageOf('web')).toBe(before)
  })
})

it('a run job is entered while it runs, and is its own end', async () => {
  const command = 'echo up; while [ ! -e /tmp/over ]; do sleep 0.5; done; exit 5'
  const id = await begin({ type: 'run', image, command, env: { CITY: 'Porto' }, resources: { cpu: '500m', memory: '64Mi' } })
  await porthole.eventually(`/v1/jobs/${id}`, job => job.status === 'running', 120)
  await exercise({ job: id }, /^job-/m)
  const { body } = await porthole.api('POST', '/v1/terminals', { job: id })
  const view = await openTerminalView(porthole, body.id)
  view.type('echo "in $CITY"; touch /tmp/over')
  await view.until(/in Porto/)
  expect(await over(id)).toMatchObject({ status: 'failed', exit_code: 5 })
  await view.closed
  await porthole.eventually(`/v1/terminals/${body.id}`, found => found.status === 'ended', 60)
  expect((await porthole.api('POST', '/v1/terminals', { job: id })).body.code).toBe('job_not_running')
})

describe('a build', () => {
  let lab: BuildLab | undefined
  afterAll(() => lab?.dispose())

  it('is entered while it builds, pushed, and its image runs', async ({ skip }) => {
    if (whyNoBuilds) return skip(whyNoBuilds)
    lab = await buildLab()
    const { registry, source } = lab
    const login = { host: registry, username: 'ann', password: 's3cret', insecure: true }
    expect((await porthole.api('POST', '/v1/registries', login)).status).toBe(201)
    const build_args = { BASE: `${registry}/base:1`, GREETING: 'hello' }
    const git = { url: source, ref: 'slow' }
    const target = { image: `${registry}/team/app`, tags: ['v1'] }
    const id = await begin({ type: 'build', git, build_args, ...target, timeout_seconds: 900 })
    await expect.poll(() => log(id), { timeout: 200_000, interval: 1_000 }).toMatch(/RUN until/)
    // Every container that is being built has its files here.
    const wake = 'for d in $HOME/.local/share/containers/storage/vfs/dir/*/tmp; do : >$d/go; done'
    await exercise({ job: id }, /^job-/m, wake)
    const job = await over(id)
    expect([job.status, job.status_reason, await log(job.id)]).toEqual([
      'succeeded',
      expect.anything(),
      expect.stringContaining('== pushing'),
    ])
    expect(job.result).toMatchObject({ images: [`${registry}/team/app:v1`], digest: expect.stringMatching(/^sha256:/) })
    const ran = await done({ type: 'run', image: lab.handToNode('team/app:v1'), resources: { memory: '64Mi' } })
    expect([ran.status, ran.exit_code, await log(ran.id)]).toEqual(['succeeded', 0, 'hello from the image\n'])
  })
})
