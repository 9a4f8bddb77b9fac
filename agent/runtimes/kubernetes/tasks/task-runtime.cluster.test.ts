/** Manifests and deploys against a real API server, as the agent's own ServiceAccount with the chart's rights. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { violations } from '#protocol/manifest/testing/violations.ts'
import { type TaskLab, taskLab } from '../../testing/task-lab.ts'

let lab: TaskLab
beforeAll(async () => {
  lab = await taskLab()
})
afterAll(() => lab?.dispose())

const pod = (command: string, image = 'busybox:local') => `
        terminationGracePeriodSeconds: 0
        containers:
          - name: main
            image: ${image}
            command: [sh, -c, ${JSON.stringify(command)}]
            securityContext: {runAsUser: 1000}
            resources: {limits: {cpu: 100m, memory: 32Mi}}`
const deployment = (name: string, command = 'sleep 3600', image?: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: 1
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: ${name}}}
  template:
      metadata: {labels: {app: ${name}}}
      spec:${pod(command, image)}
`
const job = (name: string, command: string) => `
apiVersion: batch/v1
kind: Job
metadata: {name: ${name}}
spec:
  backoffLimit: 0
  template:
      spec:${pod(command)}
`
const settings = (mode: string) => `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: ${mode}}
`
const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`
const secret = (value: string) => `
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {key: ${value}}
`
const all = (...documents: string[]) => documents.join('\n---\n')
const changes = (result: { result: Record<string, unknown> | null }) =>
  Object.fromEntries(
    (result.result!.changes as { kind: string; name: string; change: string }[]).map(each => [
      `${each.kind}/${each.name}`,
      each.change,
    ]),
  )

describe('a manifest', () => {
  it('is applied, diffed, applied anew, pruned and deleted', async () => {
    const first = all(settings('one'), deployment('web'), service, job('migrate', 'echo migrated'), secret('hunter2'))
    const dry = await lab.run({ yaml: first, set: 'shop', dry_run: true })
    expect(changes(dry)).toMatchObject({ 'ConfigMap/settings': 'create', 'Deployment/web': 'create', 'Secret/keys': 'create' })
    expect((await lab.get('/api/v1/{ns}/configmaps/settings')).status).toBe(404)

    const applied = await lab.run({ yaml: first, set: 'shop' })
    expect(applied).toMatchObject({ outcome: 'succeeded', progress: { percent: 100 } })
    expect(applied.resources.filter(({ kind }) => kind === 'Pod')).toHaveLength(2)
    const own = applied.resources.filter(({ kind }) => kind !== 'Pod')
    expect(Object.fromEntries(own.map(({ kind, name, state }) => [`${kind}/${name}`, state]))).toEqual({
      'Secret/keys': 'present',
      'ConfigMap/settings': 'present',
      'Service/web': 'present',
      'Deployment/web': 'available',
      'Job/migrate': 'complete',
    })
    expect(applied.output).not.toContain('hunter2')
    const uid = (await lab.get('/apis/apps/v1/{ns}/deployments/web')).body.metadata.uid
    const revision = async () =>
      (await lab.get('/apis/apps/v1/{ns}/deployments/web')).body.metadata.annotations['deployment.kubernetes.io/revision']
    expect(await revision()).toBe('1')

    const second = all(settings('two'), deployment('web'), secret('hunter3'))
    const diff = await lab.run({ yaml: second, set: 'shop', dry_run: true })
    expect(changes(diff)).toEqual({
      'Secret/keys': 'update',
      'ConfigMap/settings': 'update',
      'Deployment/web': 'unchanged',
      'Service/web': 'delete',
      'Job/migrate': 'delete',
    })
    expect(diff.output).toMatch(/- +mode: one\n\+ +mode: two/)
    expect(diff.output).not.toMatch(/hunter|aHVudGVy/)

    const again = await lab.run({ yaml: second, set: 'shop' })
    expect(again.outcome).toBe('succeeded')
    expect((await lab.get('/api/v1/{ns}/services/web')).status).toBe(404)
    expect((await lab.get('/apis/batch/v1/{ns}/jobs/migrate')).status).toBe(404)
    expect((await lab.get('/api/v1/{ns}/configmaps/settings')).body.data).toEqual({ mode: 'two' })
    // What did not change was left in peace.
    expect((await lab.get('/apis/apps/v1/{ns}/deployments/web')).body.metadata.uid).toBe(uid)
    expect(await revision()).toBe('1')

    await lab.runtime.undo(again.job)
    expect((await lab.get('/apis/apps/v1/{ns}/deployments/web')).status).toBe(404)
    expect((await lab.get('/api/v1/{ns}/configmaps/settings')).status).toBe(404)
    expect((await lab.get('/api/v1/{ns}/secrets/keys')).status).toBe(404)
  })

  it('pods are hardened, and have no token', async () => {
    const made = await lab.run({ yaml: deployment('hard'), wait: false })
    expect(made.outcome).toBe('succeeded')
    const { body } = await lab.get('/apis/apps/v1/{ns}/deployments/hard')
    expect(body.spec.template.spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
    })
    const removed = await lab.run({ yaml: deployment('hard'), action: 'delete' })
    expect(removed).toMatchObject({ outcome: 'succeeded', resources: [{ kind: 'Deployment', name: 'hard', state: 'deleted' }] })
  })

  it('says why it does not become healthy', async () => {
    const failed = await lab.run({ yaml: job('bad', 'echo no luck; exit 3') })
    expect(failed).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(/Job\/bad does not become healthy/) })
    const root = await lab.run({ yaml: deployment('root').replace('runAsUser: 1000', 'readOnlyRootFilesystem: true') })
    expect(root).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(/will run as root|runAsNonRoot/) })
    await lab.runtime.undo(failed.job)
    await lab.runtime.undo(root.job)
  })

  it('a Job with another template is a new run', async () => {
    await lab.run({ yaml: job('once', 'true'), set: 'once' })
    const again = await lab.run({ yaml: job('once', 'echo other'), set: 'once' })
    expect(again).toMatchObject({ outcome: 'succeeded' })
    expect(changes(again)).toEqual({ 'Job/once': 'replace' })
    await lab.runtime.undo(again.job)
  })

  it('another project’s and nobody’s things are left alone', async () => {
    const mine = await lab.run({ yaml: settings('mine'), set: 's' }, { project: 'prj_a' })
    const theirs = await lab.run({ yaml: settings('theirs'), set: 's' }, { project: 'prj_b' })
    expect(theirs).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('left alone') })
    const taken = await lab.run({ yaml: settings('x'), action: 'delete' }, { project: 'prj_b' })
    expect(taken).toMatchObject({ outcome: 'succeeded', result: { changes: [], left_alone: ['ConfigMap/settings'] } })
    expect((await lab.get('/api/v1/{ns}/configmaps/settings')).body.data).toEqual({ mode: 'mine' })
    // Nor the record of a task.
    const record = await lab.run({ yaml: settings('x').replace('name: settings', `name: ${mine.name}`) }, { project: 'prj_a' })
    expect(record).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('left alone') })
    await lab.runtime.undo(mine.job)
  })

  it('goes on in the agent’s next life, output without a hole', async () => {
    const attempt = lab.attempt({ yaml: all(settings('life'), job('slow', 'sleep 4; echo done')), set: 'life' })
    await lab.runtime.start(attempt)
    await lab.until(attempt.name, ({ progress }) => (progress?.percent ?? 0) >= 50)
    const before = await new Promise<string>(resolve => {
      const stop = new AbortController()
      void (async () => {
        const [instance] = (await lab.runtime.observe()).filter(each => each.name === attempt.name)
        let text = ''
        for await (const piece of lab.runtime.logs(attempt.name, instance!.uid, '', { offset: 0, mark: null }, stop.signal)) {
          if ('data' in piece) text += Buffer.from(piece.data).toString()
          if (text.includes('create')) stop.abort()
        }
        resolve(text)
      })()
    })
    lab.nextLife()
    await lab.runtime.start(attempt)
    const instance = await lab.ended(attempt.name)
    expect(instance.outcome).toBe('succeeded')
    const output = await lab.output(attempt.name)
    expect(output.startsWith(before)).toBe(true)
    await lab.runtime.undo(attempt.job)
    await lab.runtime.remove(instance.name, instance.uid)
    expect((await lab.get(`/api/v1/{ns}/configmaps/${instance.name}`)).status).toBe(404)
    expect((await lab.get(`/api/v1/{ns}/secrets/${instance.name}`)).status).toBe(404)
  })

  it('canceled, it ends', async () => {
    const attempt = lab.attempt({ yaml: job('endless', 'sleep 3600') })
    await lab.runtime.start(attempt)
    const { uid } = await lab.until(attempt.name, ({ progress }) => (progress?.percent ?? 0) >= 50)
    await lab.runtime.cancel(attempt.name, uid, 0)
    expect(await lab.ended(attempt.name)).toMatchObject({ outcome: 'canceled' })
    await lab.runtime.undo(attempt.job)
  })
})

it('an agent whose API checks nothing refuses every violation itself, and nothing is made', async () => {
  const samples = violations.filter((_, at) => at % 12 === 0)
  for (const { name, text, pointer } of samples) {
    const { outcome, result } = await lab.run({ yaml: text })
    expect([name, outcome, result !== null]).toEqual([name, 'failed', true])
    expect([name, (result!.errors as { pointer: string }[]).map(fault => fault.pointer)]).toEqual([
      name,
      expect.arrayContaining([pointer]),
    ])
  }
  for (const path of ['/api/v1/{ns}/pods', '/apis/apps/v1/{ns}/deployments', '/apis/batch/v1/{ns}/jobs', '/api/v1/{ns}/services'])
    expect((await lab.get(path)).body.items).toEqual([])
})

describe('a deploy', () => {
  const statefulset = deployment('db')
    .replace('kind: Deployment', 'kind: StatefulSet')
    .replace(/ {2}strategy: .*\n/, '  serviceName: db\n')
  const imageOf = async (kind: string, name: string) =>
    (await lab.get(`/apis/apps/v1/{ns}/${kind}/${name}`)).body.spec.template.spec.containers[0].image
  let base: string

  beforeAll(async () => {
    const made = await lab.run({ yaml: all(deployment('api'), statefulset), set: 'base' })
    expect(made.outcome).toBe('succeeded')
    base = made.job
  })
  afterAll(() => lab.runtime.undo(base))

  it('sets all images and waits until they run', async () => {
    const done = await lab.run({
      type: 'deploy',
      mappings: { api: 'docker.io/library/busybox:local', 'statefulset/db/main': 'docker.io/library/busybox:local' },
    })
    expect(done).toMatchObject({ outcome: 'succeeded', progress: { percent: 100 } })
    expect(done.output).toMatch(/- +image: busybox:local\n\+ +image: docker.io\/library\/busybox:local|- .*busybox:local/)
    expect(await imageOf('deployments', 'api')).toBe('docker.io/library/busybox:local')
    expect(await imageOf('statefulsets', 'db')).toBe('docker.io/library/busybox:local')
  })

  it('goes back, all of it, when one image cannot be had', async () => {
    const failed = await lab.run({ type: 'deploy', mappings: { api: 'busybox:local', db: 'localhost/nowhere:none' } })
    expect(failed).toMatchObject({ outcome: 'failed', result: { rolled_back: true } })
    expect(failed.reason).toMatch(/rolled back: StatefulSet\/db: container main: .*all services run what they ran before/)
    expect(await imageOf('deployments', 'api')).toBe('docker.io/library/busybox:local')
    expect(await imageOf('statefulsets', 'db')).toBe('docker.io/library/busybox:local')
    expect(failed.resources.map(({ state }) => state).sort()).toEqual(['available', 'ready'])
  })

  it('goes back with the last words of what crashes', async () => {
    const made = await lab.run({
      yaml: deployment('flaky', 'if [ -e /bin/busybox ]; then sleep 3600; fi; echo cannot find my settings; exit 7'),
      set: 'flaky',
    })
    expect(made.outcome).toBe('succeeded')
    const failed = await lab.run({ type: 'deploy', mappings: { flaky: 'debian:local' } })
    expect(failed.outcome).toBe('failed')
    expect(failed.reason).toMatch(/crashes again and again: it ended with exit code 7.*its last words: cannot find my settings/)
    expect(await imageOf('deployments', 'flaky')).toBe('busybox:local')
    await lab.runtime.undo(made.job)
  })

  it('changes nothing when a service is not there', async () => {
    const failed = await lab.run({ type: 'deploy', mappings: { api: 'busybox:local', nobody: 'busybox:local' } })
    expect(failed).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('nothing was changed') })
    expect(await imageOf('deployments', 'api')).toBe('docker.io/library/busybox:local')
  })

  it('canceled half-way, it goes back; also in the next life', async () => {
    const attempt = lab.attempt({
      type: 'deploy',
      mappings: { 'deployment/api': 'localhost/nowhere:late' },
      ready_timeout_ms: 100_000,
    })
    await lab.runtime.start(attempt)
    await lab.until(attempt.name, ({ progress }) => (progress?.percent ?? 0) >= 20)
    lab.nextLife()
    expect(await lab.ended(attempt.name)).toMatchObject({ outcome: 'failed', result: { rolled_back: true } })
    expect(await imageOf('deployments', 'api')).toBe('docker.io/library/busybox:local')
  })
})
