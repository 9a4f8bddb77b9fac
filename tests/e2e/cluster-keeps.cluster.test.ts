/** What a cluster keeps, as its users reach it through the API: volumes and their archives, recordings on a volume of the agent's; and apps of others' images. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { KubeConfig } from '@kubernetes/client-node'
import { PNG } from 'pngjs'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { setValue, type Values } from '../../deploy/chart.ts'
import { type SessionsNamespace, sessionsNamespace, testImages } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'

let porthole: ApiProgram
let place: SessionsNamespace
let cluster: string

beforeAll(async () => {
  const config = new KubeConfig()
  config.loadFromFile(process.env.KUBECONFIG!)
  porthole = await startApiProgram(process.env.PORTHOLE_TEST_HOST ?? new URL(config.getCurrentCluster()!.server).hostname)
  const { body } = await porthole.api('POST', '/v1/clusters', { name: 'real' }, {}, porthole.outsideUrl)
  cluster = body.id
  let values: Values = { network: { dial: 'auto' }, recordings: { enabled: true, existingClaim: 'kept' } }
  for (const [, assignment] of body.enrollment.command.matchAll(/ --set (\S+)/g)) values = setValue(values, assignment)
  place = await sessionsNamespace(values)
  await recordingsClaim()
  await place.deploy()
  await porthole.eventually(`/v1/clusters/${cluster}`, found => found.status === 'online', 300)
})
afterAll(async () => {
  await place?.dispose()
  await porthole?.stop()
})

/** Host paths, as small clusters have them, ignore fsGroup: the volume is handed to the agent's user by hand. */
async function recordingsClaim(): Promise<void> {
  const metadata = { name: 'kept', namespace: place.system }
  const resources = { requests: { storage: '64Mi' } }
  await place.admin.apply({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata,
    spec: { accessModes: ['ReadWriteOnce'], resources },
  })
  const container = {
    name: 'chown',
    image: `${testImages.prefix}/display:${testImages.tag}`,
    command: ['/bin/sh', '-c', 'chown 1000:1000 /kept && chmod 0700 /kept'],
    securityContext: { runAsUser: 0 },
    volumeMounts: [{ name: 'kept', mountPath: '/kept' }],
  }
  const volumes = [{ name: 'kept', persistentVolumeClaim: { claimName: 'kept' } }]
  await place.admin.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name: 'chown' },
    spec: { restartPolicy: 'Never', containers: [container], volumes },
  })
  const pod = `/api/v1/namespaces/${place.system}/pods/chown`
  const over = async () => ((await place.admin.ask('GET', pod)).body.status as { phase: string }).phase === 'Succeeded'
  await vi.waitUntil(over, { timeout: 180_000, interval: 500 })
  await place.admin.ask('DELETE', pod)
}

async function running(body: object) {
  const made = await porthole.api('POST', '/v1/sessions', { start_timeout_seconds: 300, ...body })
  expect([made.status, made.body.detail]).toEqual([201, undefined])
  const seen = await porthole.eventually(
    `/v1/sessions/${made.body.id}`,
    each => !['queued', 'starting'].includes(each.status),
    300,
  )
  expect([seen.status, seen.status_reason]).toEqual(['running', null])
  return seen
}
const request = (method: string, path: string, body?: Buffer | string, headers: Record<string, string> = {}) =>
  fetch(porthole.url + path, { method, headers: { ...porthole.headers, ...headers }, ...(body !== undefined && { body }) })
const end = async (id: string) => expect((await porthole.api('DELETE', `/v1/sessions/${id}`)).status).toBe(204)

function archiveOf(name: string, text: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-archive-'))
  try {
    writeFileSync(join(folder, name), text)
    return execFileSync('tar', ['-czf', '-', '-C', folder, '.'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

it('a volume has one writer at a time, goes down and up as an archive, and is gone when told', async () => {
  const volume = (await porthole.api('POST', '/v1/volumes', { name: 'work', size: '64Mi' })).body
  const first = await running({ template: 'chromium', headless: true, volume: volume.id })
  const put = await request('PUT', `/v1/sessions/${first.id}/files/a.txt`, 'written by the first')
  expect(put.status).toBe(204)
  const second = await porthole.api('POST', '/v1/sessions', { template: 'chromium', headless: true, volume: volume.id })
  expect([second.status, second.body.code]).toEqual([409, 'conflict'])
  expect((await request('GET', `/v1/volumes/${volume.id}/archive`)).status).toBe(409)
  await end(first.id)
  await porthole.eventually(`/v1/volumes/${volume.id}`, found => found.session === null)
  await place.untilGone(name => !name.includes('/vol-'))

  const down = await request('GET', `/v1/volumes/${volume.id}/archive`)
  expect([down.status, down.headers.get('content-type')]).toEqual([200, 'application/gzip'])
  const tar = gunzipSync(Buffer.from(await down.arrayBuffer())).toString('latin1')
  expect([tar.includes('a.txt'), tar.includes('written by the first')]).toEqual([true, true])
  const gzip = { 'content-type': 'application/gzip' }
  const up = await request('PUT', `/v1/volumes/${volume.id}/archive`, archiveOf('b.txt', 'from outside'), gzip)
  expect([up.ok, await up.text()]).toEqual([true, expect.any(String)])

  const next = await running({ template: 'chromium', headless: true, volume: volume.id })
  expect(await (await request('GET', `/v1/sessions/${next.id}/files/b.txt`)).text()).toBe('from outside')
  expect((await request('GET', `/v1/sessions/${next.id}/files/a.txt`)).status).toBe(404)
  await end(next.id)
  await porthole.eventually(`/v1/volumes/${volume.id}`, found => found.session === null)
  expect((await porthole.api('DELETE', `/v1/volumes/${volume.id}`)).status).toBe(204)
  await place.untilGone()
})

it('an app of somebody else’s image shows itself on the display beside it', async () => {
  const image = `${testImages.prefix}/desktop:${testImages.tag}`
  const app = { id: 'terminal', name: 'Terminal', kind: 'app', image, command: ['/usr/bin/xfce4-terminal', '--disable-server'] }
  await porthole.template(app)
  const { id, pod } = await running({ template: 'terminal' })
  expect(pod.containers.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`).sort()).toEqual([
    'app running',
    'session running',
  ])
  const colours = async () => {
    const picture = await request('GET', `/v1/sessions/${id}/screenshot`)
    const { data } = PNG.sync.read(Buffer.from(await picture.arrayBuffer()))
    return new Set(Array.from({ length: data.length / 4 }, (_, at) => data.readUInt32BE(at * 4))).size
  }
  await expect.poll(colours, { timeout: 180_000, interval: 1000 }).toBeGreaterThan(20)
  await end(id)
  await place.untilGone()
})

it('a recording outlives the agent that began it, and goes with its session', async () => {
  const start_url = 'data:text/html,<body style="background:rgb(20,40,210)">'
  const { id } = await running({ template: 'chromium', recording: true, start_url })
  const list = `/v1/sessions/${id}/recordings`
  const [first] = (await porthole.eventually(list, found => found.data?.[0]?.size > 0)).data
  const agents = `/api/v1/namespaces/${place.system}/pods`
  for (const { metadata } of (await place.admin.ask('GET', agents)).body.items as { metadata: { name: string } }[])
    await place.admin.ask('DELETE', `${agents}/${metadata.name}`)
  const { data } = await porthole.eventually(
    list,
    found => found.data?.length === 2 && found.data.every(({ size }: { size: number }) => size > 0),
    400,
  )
  expect(data.map((each: { id: string }) => each.id)).toContain(first.id)
  const file = await request('GET', `${list}/${first.id}`)
  expect(
    Buffer.from(await file.arrayBuffer())
      .toString('latin1')
      .slice(0, 24),
  ).toMatch(/^FBS 001\.001\n.{4}RFB 003/s)
  await end(id)
  await place.untilGone()
})
