/**
 * The images as the cluster runs them: the agent's own pods, under the restricted standard, dialled through the API server. Wants the images on a
 * node, as docker/build.sh names them, or in a registry: `PORTHOLE_TEST_IMAGES` is their prefix (--name), `PORTHOLE_TEST_TAG` their tag.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { KubeConfig, PortForward } from '@kubernetes/client-node'
import { chromium } from 'playwright-core'
import { PNG } from 'pngjs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sessionPod } from '#agent/runtimes/kubernetes/pod-spec.ts'
import { kubernetesSettings } from '#agent/runtimes/kubernetes/settings.ts'
import { SessionSpec } from '#protocol/session-spec.ts'
import { type KubeObject, renderChart } from '../deploy/chart.ts'
import { insecurities, podOf } from '../deploy/pod-security.ts'
import { KubeApi } from '../deploy/testing/kube-api.ts'
import { testImages } from '../deploy/testing/sessions-namespace.ts'

const { prefix, tag } = testImages
const mark = randomBytes(4).toString('hex')
const namespace = `test-${mark}-images`
const admin = new KubeApi()
const config = new KubeConfig()
config.loadFromFile(process.env.KUBECONFIG!)
const forwards: Server[] = []
/** Why nothing of this can be tried; null: it can. */
let missing: string | null = null

const settings = (kind: SessionSpec['kind']) =>
  kubernetesSettings({
    PORTHOLE_NAMESPACE: namespace,
    PORTHOLE_IMAGE_BROWSER: `${prefix}/browser:${tag}`,
    PORTHOLE_IMAGE_DESKTOP: `${prefix}/desktop:${tag}`,
    PORTHOLE_IMAGE_DISPLAY: `${prefix}/display:${tag}`,
    // Homes in the pod: what storage does is not what is tried here.
    PORTHOLE_KEEP_HOMES: kind === 'app' ? 'desktop' : 'app',
  })

beforeAll(async () => {
  missing = await imagesMissing()
  if (missing) return
  const objects = renderChart(join(import.meta.dirname, '../deploy/helm/porthole-agent'), {
    name: 'agent',
    namespace: `test-${mark}-nobody`,
    values: { url: 'https://porthole.example', sessions: { namespace } },
  })
  for (const object of objects)
    if (object.metadata.namespace === namespace || object.metadata.name === namespace)
      if (!object.kind.startsWith('Role')) await admin.apply(object)
})

afterEach(async () => {
  for (const server of forwards.splice(0)) server.close()
})

afterAll(async () => {
  if (!missing) await admin.ask('DELETE', `/api/v1/namespaces/${namespace}`)
  admin.close()
})

function spec(more: Partial<SessionSpec>): SessionSpec {
  return SessionSpec.parse({
    kind: 'browser',
    template: 'test',
    project: 'prj_test',
    user: 'test',
    name: null,
    headless: false,
    display: { width: 1024, height: 768 },
    start_url_wait: 'none',
    env: {},
    labels: {},
    limits: { memory_bytes: 1536 * 2 ** 20 },
    requests: { cpu_millis: 100, memory_bytes: 128 * 2 ** 20 },
    ports: [],
    restart: 'never',
    start_timeout_ms: 60_000,
    clipboard: 'both',
    egress: { mode: 'none', allow: [] },
    recording: false,
    ...more,
  })
}

/** Resolves when the kubelet calls it ready; a pod that cannot is told with the kubelet's words. */
async function start(name: string, more: Partial<SessionSpec>): Promise<string> {
  const wanted = spec(more)
  const pod = sessionPod({ name, session: `ses_${name}`, generation: 1, spec: wanted }, settings(wanted.kind)) as KubeObject
  expect(insecurities(podOf(pod)!)).toEqual([])
  const made = await admin.ask('POST', `/api/v1/namespaces/${namespace}/pods`, pod)
  expect([made.status, made.body.message]).toEqual([201, undefined])
  let resourceVersion = (made.body.metadata as { resourceVersion: string }).resourceVersion
  const deadline = Date.now() + 240_000
  for (;;) {
    // A watch of one pod ends with the server's answer: the news is in it.
    const query = `?watch=1&timeoutSeconds=5&resourceVersion=${resourceVersion}&fieldSelector=metadata.name=${name}`
    await admin.ask('GET', `/api/v1/namespaces/${namespace}/pods${query}`)
    const { body } = await admin.ask('GET', `/api/v1/namespaces/${namespace}/pods/${name}`)
    resourceVersion = (body.metadata as { resourceVersion: string }).resourceVersion
    const {
      conditions = [],
      containerStatuses = [],
      phase,
    } = body.status as {
      phase: string
      conditions?: { type: string; status: string }[]
      containerStatuses?: { state: Record<string, { reason?: string; message?: string }> }[]
    }
    if (conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return name
    const why = JSON.stringify(containerStatuses.map(({ state }) => state))
    if (phase === 'Failed' || phase === 'Succeeded' || /Image|CrashLoop|Error/.test(why) || Date.now() > deadline)
      throw new Error(`${name} is ${phase}: ${why}`)
  }
}

/** A port of this machine that is the pod's, through the API server. */
async function forward(pod: string, port: number): Promise<number> {
  const through = new PortForward(config)
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    void through.portForward(namespace, pod, [port], socket, null, socket).catch(() => socket.destroy())
  })
  forwards.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function ready(port: number): Promise<{ state: string; versions: Record<string, string>; notes: string[] }> {
  let since = -1
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/status?since=${since}&wait=30`, { headers: { connection: 'close' } })
    const status = (await answer.json()) as {
      seq: number
      state: string
      reason: string
      versions: Record<string, string>
      notes: string[]
    }
    if (status.state === 'ready') return status
    if (status.state === 'ending') throw new Error(status.reason)
    since = status.seq
  }
}

async function picture(port: number): Promise<{ size: number[]; colours: number }> {
  const answer = await fetch(`http://127.0.0.1:${port}/screenshot`, { headers: { connection: 'close' } })
  expect(answer.status).toBe(200)
  const { width, height, data } = PNG.sync.read(Buffer.from(await answer.arrayBuffer()))
  const colours = new Set<number>()
  for (let at = 0; at < data.length; at += 4) colours.add(data.readUInt32BE(at))
  return { size: [width, height], colours: colours.size }
}

async function banner(port: number): Promise<string> {
  const { connect } = await import('node:net')
  const socket = connect(port, '127.0.0.1')
  try {
    const [first] = (await once(socket, 'data', { signal: AbortSignal.timeout(60_000) })) as [Buffer]
    return first.toString()
  } finally {
    socket.destroy()
  }
}

/** What is named here is in a registry, as far as one can know; what is not must be on a node already. */
async function imagesMissing(): Promise<string | null> {
  if (process.env.PORTHOLE_TEST_IMAGES) return null
  const { items } = (await admin.ask('GET', '/api/v1/nodes')).body as { items: { status: { images?: { names?: string[] }[] } }[] }
  const there = new Set(items.flatMap(({ status }) => status.images ?? []).flatMap(({ names }) => names ?? []))
  const absent = ['browser', 'desktop', 'display'].map(name => `${prefix}/${name}:${tag}`).filter(image => !there.has(image))
  return absent.length === 0 ? null : `on no node: ${absent.join(', ')}; build them with docker/build.sh and bring them there`
}

beforeEach(({ skip }) => {
  if (missing) skip(missing)
})

describe('images', { timeout: 300_000 }, () => {
  it('browser: a screen, a script and a person share one page', async () => {
    const pod = await start('browser', { kind: 'browser' })
    const port = await forward(pod, 7000)
    const { versions } = await ready(port)
    expect(versions.browser).toMatch(/^Chromium \d+/)
    expect(await banner(await forward(pod, 5900))).toBe('RFB 003.008\n')
    const browser = await chromium.connect(`ws://127.0.0.1:${port}/playwright`)
    try {
      const page = browser.contexts()[0]!.pages()[0]!
      await page.goto('data:text/html,<title>pod</title><body style="background:linear-gradient(90deg,red,blue)">')
      expect(await page.title()).toBe('pod')
      // The gradient is on the screen, not only in the page.
      await expect.poll(async () => (await picture(port)).colours, { timeout: 60_000, interval: 500 }).toBeGreaterThan(200)
    } finally {
      await browser.close()
    }
  })

  it('desktop: Xfce with a panel', async () => {
    const port = await forward(await start('desktop', { kind: 'desktop' }), 7000)
    await ready(port)
    await expect.poll(async () => (await picture(port)).colours, { timeout: 120_000, interval: 1000 }).toBeGreaterThan(200)
    expect((await picture(port)).size).toEqual([1024, 768])
  })

  it('app: an image that knows nothing of us shows itself on the display beside it', async () => {
    const command = ['/usr/bin/xfce4-terminal', '--disable-server']
    const port = await forward(await start('app', { kind: 'app', image: `${prefix}/desktop:${tag}`, command }), 7000)
    await ready(port)
    await expect.poll(async () => (await picture(port)).colours, { timeout: 120_000, interval: 1000 }).toBeGreaterThan(20)
  })
})
