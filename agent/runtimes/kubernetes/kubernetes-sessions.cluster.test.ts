/** What only pods have: desktops and apps, homes and volumes on claims, reasons in the cluster's words, and an agent that dies between two steps. */
import { randomBytes } from 'node:crypto'
import { createGunzip, gzipSync } from 'node:zlib'
import { PNG } from 'pngjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { aSpec } from '#agent/testing/session-fixtures.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { type SessionsNamespace, sessionsNamespace, testImages } from '../../../deploy/testing/sessions-namespace.ts'
import { DialError, type Instance, instanceName } from '../runtime.ts'
import { bytesOf, stopped, whenRunning, whenSeen } from '../testing/runtime-watching.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from './kubernetes-runtime.ts'
import { CannotRun } from './pod-spec.ts'
import type { Step } from './session-maker.ts'
import { type KubernetesSettings, kubernetesSettings } from './settings.ts'

const headless = aSpec({ headless: true, limits: { memory_bytes: 1024 * 2 ** 20 } })
const signal = () => AbortSignal.timeout(180_000)
const freshId = (kind: 'ses' | 'vol' = 'ses') => `${kind}_k${randomBytes(5).toString('hex')}`

let place: SessionsNamespace
let runtime: KubernetesRuntime

function open(settings: Partial<KubernetesSettings> = {}, afterStep?: (step: Step) => void): Promise<KubernetesRuntime> {
  return createKubernetesRuntime({
    settings: { ...kubernetesSettings(place.environment), selfTest: 'off', ...settings },
    config: place.config,
    inCluster: false,
    clock: systemClock,
    random: Math.random,
    log: createLog(() => {}),
    ...(afterStep && { afterStep }),
  })
}

beforeAll(async () => {
  place = await sessionsNamespace()
  runtime = await open()
})
afterAll(async () => {
  await runtime?.close()
  await place?.dispose()
})

async function run(spec: SessionSpec, session = freshId(), generation = 1): Promise<Instance> {
  const name = instanceName(session, generation)
  await runtime.start(name, session, generation, spec)
  return await whenRunning(runtime, name)
}
const ask = async (session: string, method: string, path: string, body?: string) => {
  const sent = body === undefined ? {} : { body: [Buffer.from(body)] as unknown as AsyncIterable<Uint8Array> }
  const response = await runtime.host(session, { method, path, headers: {}, ...sent, signal: signal() })
  return { status: response.status, bytes: await bytesOf(response.body) }
}
const end = async (instance: Pick<Instance, 'name' | 'uid' | 'session'>) => {
  await stopped(runtime, instance.name, instance.uid, 0)
  await runtime.forget(instance.session)
}
const fault = (work: Promise<unknown>) =>
  work.then(
    () => null,
    error => error as Error,
  )
/** A claim goes a moment after its pod: the cluster itself holds it that long. */
const nothingLeftOf = (session: string) => place.untilGone(name => name.includes(session.replace('_', '-')))
const leftOf = async (session: string) => (await place.left()).filter(name => name.includes(session.replace('_', '-')))

async function coloursOf(session: string): Promise<number> {
  const { data } = PNG.sync.read((await ask(session, 'GET', '/screenshot')).bytes)
  const colours = new Set<number>()
  for (let at = 0; at < data.length; at += 4) colours.add(data.readUInt32BE(at))
  return colours.size
}

describe('kinds', () => {
  test('a desktop whose home outlives its pod', async () => {
    const desktop = aSpec({ kind: 'desktop', template: 'desktop', display: { width: 1000, height: 700 } })
    const first = await run(desktop)
    const { session } = first
    await expect.poll(() => coloursOf(session), { timeout: 180_000, interval: 1000 }).toBeGreaterThan(200)
    expect((await ask(session, 'PUT', '/files/kept.txt', 'still here')).status).toBe(201)
    await stopped(runtime, first.name, first.uid, 2_000)
    const second = await run(desktop, session, 2)
    expect(String((await ask(session, 'GET', '/files/kept.txt')).bytes)).toBe('still here')
    await end(second)
    await nothingLeftOf(session)
  })

  test('an app whose image knows nothing of us, on the display beside it', async () => {
    const image = `${testImages.prefix}/desktop:${testImages.tag}`
    const app = aSpec({ kind: 'app', image, command: ['/usr/bin/xfce4-terminal', '--disable-server'], start_timeout_ms: 240_000 })
    const instance = await run(app)
    expect(instance.pod?.containers.map(({ name, state }) => `${name} ${state}`).sort()).toEqual([
      'app running',
      'session running',
    ])
    await expect.poll(() => coloursOf(instance.session), { timeout: 180_000, interval: 1000 }).toBeGreaterThan(20)
    await end(instance)
    await nothingLeftOf(instance.session)
  })
})

describe('volumes', () => {
  const volume = freshId('vol')
  const withVolume = { ...headless, volume: { id: volume, size_bytes: 64 * 2 ** 20 } }
  const archive = (method: 'GET' | 'PUT', body?: Buffer) =>
    runtime.volumes.archive(volume, {
      method,
      path: '/',
      headers: {},
      ...(body && { body: [body] as unknown as AsyncIterable<Uint8Array> }),
      signal: signal(),
    })

  test('have one writer at a time, are read and replaced as archives, and go when told', async () => {
    expect(await fault(archive('GET'))).toMatchObject({ status: 404 })
    const writer = await run(withVolume)
    await ask(writer.session, 'PUT', '/files/from-first.txt', 'first')
    const second = freshId()
    const refused = await fault(runtime.start(instanceName(second, 1), second, 1, withVolume))
    expect(refused).toBeInstanceOf(CannotRun)
    expect(refused?.message).toContain(`in use by session ${writer.session}`)
    await runtime.forget(second)
    await nothingLeftOf(second)
    const busy = await fault(archive('GET'))
    expect(busy).toBeInstanceOf(DialError)
    expect(busy).toMatchObject({ status: 409 })
    expect((await fault(runtime.volumes.remove(volume)))?.message).toContain('in use')
    await end(writer)

    const got = await archive('GET')
    expect(got.headers['content-type']).toBe('application/gzip')
    expect([...tarEntries(await gunzipped(await bytesOf(got.body)))]).toContainEqual(['./from-first.txt', 'first'])
    const broken = await archive('PUT', Buffer.from('no archive'))
    expect([broken.status, (JSON.parse(String(await bytesOf(broken.body))) as { code: string }).code]).toEqual([422, 'invalid'])
    const put = await archive('PUT', gzipSync(tarOf('uploaded.txt', 'from outside')))
    await bytesOf(put.body)
    expect(put.status).toBe(200)

    const reader = await run(withVolume)
    expect(String((await ask(reader.session, 'GET', '/files/uploaded.txt')).bytes)).toBe('from outside')
    expect((await ask(reader.session, 'GET', '/files/from-first.txt')).status).toBe(404)
    await end(reader)
    await runtime.volumes.remove(volume)
    await place.untilGone(name => name.includes(volume.replace('_', '-')))
    expect((await place.left()).filter(name => name.includes('archive'))).toEqual([])
  })
})

describe('reasons', () => {
  test('no node can take it: the scheduler’s numbers', async () => {
    const picky = await open({ nodeSelector: { nowhere: 'true' } })
    try {
      const session = freshId()
      const name = instanceName(session, 1)
      await picky.start(name, session, 1, headless)
      const stuck = await whenSeen(picky, seen => seen.find(each => each.name === name && /no node/.test(each.reason ?? '')))
      expect(stuck.reason).toMatch(/no node can take it: 0\/\d+ nodes are available/)
      await stopped(picky, name, stuck.uid, 0)
      await picky.forget(session)
      await nothingLeftOf(session)
    } finally {
      await picky.close()
    }
  })

  test('out of memory: how much it had', async () => {
    const image = `${testImages.prefix}/display:${testImages.tag}`
    const greedy = aSpec({
      kind: 'app',
      image,
      command: ['/bin/sh', '-c', 'sleep 4; tail /dev/zero'],
      limits: { memory_bytes: 48 * 2 ** 20 },
    })
    const session = freshId()
    const name = instanceName(session, 1)
    await runtime.start(name, session, 1, greedy)
    const over = await whenSeen(runtime, seen => seen.find(each => each.name === name && each.phase === 'ended'), 240_000)
    expect(over).toMatchObject({ cause: 'failed' })
    expect(over.reason).toMatch(/out of memory: .*48 MiB \(OOMKilled\)/)
    await end(over)
    await nothingLeftOf(session)
  })

  test('a program that is not in its image; its last lines are in the log', async () => {
    const image = `${testImages.prefix}/display:${testImages.tag}`
    const session = freshId()
    const name = instanceName(session, 1)
    await runtime.start(name, session, 1, aSpec({ kind: 'app', image, command: ['/no/such/program'] }))
    const over = await whenSeen(runtime, seen => seen.find(each => each.name === name && each.phase === 'ended'), 240_000)
    expect(over.reason).toMatch(/no such file|no\/such\/program/i)
    await end(over)
    await nothingLeftOf(session)
  })

  test('a quota that is full: which, and what to do', async () => {
    const path = `/api/v1/namespaces/${place.sessions}/resourcequotas`
    await place.admin.ask('POST', path, { metadata: { name: 'tight' }, spec: { hard: { pods: '0' } } })
    const tight = async () => ((await place.admin.ask('GET', `${path}/tight`)).body.status as { hard?: object }).hard
    await expect.poll(tight, { timeout: 120_000, interval: 300 }).toBeDefined()
    const session = freshId()
    const refused = await fault(runtime.start(instanceName(session, 1), session, 1, headless))
    expect(refused?.message).toMatch(
      /the quota "tight" of namespace \S+ is full \(asked for pods=1, used pods=\d+, limit pods=0\)/,
    )
    await runtime.forget(session)
    await nothingLeftOf(session)
    await place.admin.ask('DELETE', `${path}/tight`)
  })
})

describe('an agent that dies between two side effects', () => {
  class Death extends Error {}
  const volumes: string[] = []
  afterAll(async () => {
    for (const volume of volumes) await runtime.volumes.remove(volume)
  })

  /** A life of the agent that ends right after this step. */
  async function dieAfter(step: Step, session: string, spec: SessionSpec): Promise<void> {
    const doomed = await open({}, at => {
      if (at === step) throw new Death()
    })
    try {
      expect(await fault(doomed.start(instanceName(session, 1), session, 1, spec))).toBeInstanceOf(Death)
    } finally {
      await doomed.close()
    }
  }
  const spec = () => {
    const volume = { id: freshId('vol'), size_bytes: 32 * 2 ** 20 }
    volumes.push(volume.id)
    return { ...headless, volume }
  }

  test.each<Step>(['policy', 'claim', 'pod', 'owner'])('after %s: the next life makes one pod of it, or none', async step => {
    const [again, never] = [freshId(), freshId()]
    const [wanted, unwanted] = [spec(), spec()]
    await Promise.all([dieAfter(step, again, wanted), dieAfter(step, never, unwanted)])
    const name = instanceName(again, 1)
    await runtime.start(name, again, 1, wanted)
    await runtime.start(name, again, 1, wanted)
    expect((await leftOf(again)).sort()).toEqual([`networkpolicies/${name}`, `pods/${name}`])
    const seen = await whenSeen(runtime, instances => instances.find(each => each.name === name))
    // Deleted while no agent ran: what is there is ended, what is left is removed.
    const ghost = (await runtime.observe()).find(each => each.session === never)
    await Promise.all([end(seen), ghost ? end(ghost) : runtime.forget(never)])
    await Promise.all([nothingLeftOf(again), nothingLeftOf(never)])
    // The volume is free again for others.
    const next = freshId()
    await runtime.start(instanceName(next, 1), next, 1, unwanted)
    const made = await whenSeen(runtime, instances => instances.find(each => each.session === next))
    await end(made)
  })
})

async function gunzipped(bytes: Buffer): Promise<Buffer> {
  const gunzip = createGunzip()
  gunzip.end(bytes)
  return await bytesOf(gunzip)
}

/** Names and texts of the files in a tar. */
function* tarEntries(tar: Buffer): Generator<[string, string]> {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const name = tar
      .subarray(at, at + 100)
      .toString()
      .replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.subarray(at + 124, at + 136).toString(), 8)
    if (tar[at + 156] === 0x30) yield [name, tar.subarray(at + 512, at + 512 + size).toString()]
    at += 512 + Math.ceil(size / 512) * 512
  }
}

function tarOf(name: string, text: string): Buffer {
  const head = Buffer.alloc(512)
  head.write(name)
  head.write('0000644\0', 100)
  head.write('0001750\0', 108)
  head.write('0001750\0', 116)
  head.write(`${text.length.toString(8).padStart(11, '0')}\0`, 124)
  head.write('00000000000\0', 136)
  head.write('        0', 148)
  head.write('ustar\x0000', 257)
  const sum = head.reduce((all, byte) => all + byte, 0)
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const body = Buffer.alloc(Math.ceil(text.length / 512) * 512)
  body.write(text)
  return Buffer.concat([head, body, Buffer.alloc(1024)])
}
