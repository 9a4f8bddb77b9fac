/**
 * What every filling of the Runtime port must do, run against real sessions. A runtime's own test calls `exerciseRuntime` with a way to make it
 * and specs it can run; everything else here goes through the port.
 */
import { PNG } from 'pngjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { DialError, type Instance, instanceName, type Runtime } from './runtime.ts'
import { bytesOf, inPhase, stopped, whenRunning, whenSeen } from './testing/runtime-watching.ts'

export interface RuntimeLab {
  runtime: Runtime
  /** Ends the agent's life and begins the next one over the same state. */
  nextLife(): Promise<Runtime>
  dispose(): Promise<void>
}

export interface RuntimeSpecs {
  /** A browser with a screen and no start_url. */
  browser: SessionSpec
  headless: SessionSpec
  /** Whether sessions go on while no agent runs. */
  outlivesAgent: boolean
}

const signal = () => AbortSignal.timeout(120_000)

export function exerciseRuntime(name: string, makeRuntime: () => Promise<RuntimeLab>, specs: RuntimeSpecs): void {
  let lab: RuntimeLab
  let runtime: Runtime
  let sessions = 0
  const freshId = () => `ses_${name}${Date.now().toString(36)}${++sessions}`
  beforeAll(async () => {
    lab = await makeRuntime()
    runtime = lab.runtime
  }, 300_000)
  afterAll(() => lab?.dispose(), 180_000)

  async function run(spec: SessionSpec, session = freshId(), generation = 1): Promise<Instance> {
    const named = instanceName(session, generation)
    await runtime.start(named, session, generation, spec)
    return await whenRunning(runtime, named)
  }
  const ask = async (session: string, method: string, path: string, body?: string | Buffer) => {
    const sent = body === undefined ? {} : { body: [Buffer.from(body)] as unknown as AsyncIterable<Uint8Array> }
    const response = await runtime.host(session, { method, path, headers: {}, ...sent, signal: signal() })
    return { status: response.status, headers: response.headers, bytes: await bytesOf(response.body) }
  }
  const refused = async (work: Promise<unknown>) => {
    const cause = await work.then(
      () => null,
      fault => fault as unknown,
    )
    expect(cause).toBeInstanceOf(DialError)
    return cause as DialError
  }

  describe(`${name} runtime`, { timeout: 300_000 }, () => {
    test('says what it can run', async () => {
      const { kinds, browsers, features, versions, capacity } = await runtime.capabilities()
      expect(kinds).toContain('browser')
      expect(browsers).toContain('chromium')
      expect(features).toContain('display')
      expect(versions.playwright).toMatch(/^\d+\.\d+\.\d+$/)
      expect(capacity.sessions).toBeGreaterThan(0)
    })

    describe('a running browser session', () => {
      let session: string
      let instance: Instance
      beforeAll(async () => {
        instance = await run(specs.browser)
        session = instance.session
      }, 300_000)
      afterAll(() => stopped(runtime, instance.name, instance.uid, 0), 180_000)

      test('shows its timeline, size and versions', () => {
        expect(instance).toMatchObject({
          generation: 1,
          phase: 'running',
          name: instanceName(session, 1),
          display: specs.browser.display,
        })
        expect(instance.uid).not.toBe('')
        expect(instance.versions.browser).toMatch(/\d/)
        expect(instance.versions.playwright).toMatch(/^\d+\.\d+\.\d+/)
        const words = instance.phases.map(each => each.phase)
        expect(words).toEqual(expect.arrayContaining(['display_ready', 'browser_ready', 'ready']))
        const times = instance.phases.map(each => each.at)
        expect(times).toEqual([...times].sort((a, b) => a - b))
      })

      test('starting it again changes nothing', async () => {
        await runtime.start(instance.name, session, 1, specs.browser)
        expect((await runtime.observe()).filter(each => each.session === session)).toHaveLength(1)
        expect((await runtime.observe()).find(each => each.name === instance.name)?.uid).toBe(instance.uid)
      })

      test('stopping another uid of its name changes nothing', async () => {
        await stopped(runtime, instance.name, 'not-this-one', 0)
        expect((await runtime.observe()).find(inName(instance.name))?.phase).toBe('running')
      })

      test('gives its screen as RFB, many times over', async () => {
        for (let round = 0; round < 12; round++) {
          const dialled = await runtime.dial(session, { kind: 'vnc' }, signal())
          if (dialled.kind !== 'bytes') throw new Error('the screen must be bytes')
          const banner = await new Promise<Buffer>(resolve => dialled.socket.once('data', resolve))
          expect(banner.toString('latin1')).toMatch(/^RFB 003\.\d{3}\n$/)
          dialled.socket.destroy()
        }
      })

      test('gives a picture of the screen, and another size when asked', async () => {
        const first = await ask(session, 'GET', '/screenshot')
        expect(first.headers['content-type']).toBe('image/png')
        expect(sizeOf(first.bytes)).toEqual(specs.browser.display)

        const wider = whenSeen(runtime, seen => seen.find(inName(instance.name))?.display?.width === 1000)
        expect((await ask(session, 'POST', '/display', '{"width":1000,"height":640}')).status).toBe(200)
        await wider
        expect(sizeOf((await ask(session, 'GET', '/screenshot')).bytes)).toEqual({ width: 1000, height: 640 })
        const clamped = await ask(session, 'POST', '/display', '{"width":99999,"height":1}')
        expect(JSON.parse(String(clamped.bytes)).width).toBeLessThanOrEqual(7680)
        await ask(session, 'POST', '/display', JSON.stringify(specs.browser.display))
      })

      test('keeps files, and keeps to its home', async () => {
        const content = Buffer.alloc(300_000, 'porthole ')
        expect((await ask(session, 'PUT', '/files/a%20folder/b.txt', content)).status).toBe(201)
        expect((await ask(session, 'GET', '/files/a%20folder/b.txt')).bytes.equals(content)).toBe(true)
        const list = JSON.parse(String((await ask(session, 'GET', '/files/a%20folder')).bytes))
        expect(list.entries).toMatchObject([{ name: 'b.txt', type: 'file', size: content.length }])
        expect((await ask(session, 'DELETE', '/files/a%20folder')).status).toBe(204)
        expect((await ask(session, 'GET', '/files/a%20folder/b.txt')).status).toBe(404)
        expect((await ask(session, 'GET', '/files/..%2f..%2fetc%2fpasswd')).status).toBe(400)
      })

      test('counts what it uses', async () => {
        const figures = JSON.parse(String((await ask(session, 'GET', '/metrics')).bytes))
        expect(figures.processes).toBeGreaterThan(5)
        expect(figures.memory_bytes).toBeGreaterThan(50_000_000)
        expect(figures.cpu_seconds).toBeGreaterThan(0.1)
      })

      test('speaks CDP, and notes that somebody does', async () => {
        const active = whenSeen(runtime, seen => seen.find(inName(instance.name))?.activeAt)
        const version = await cdpCall(runtime, session, 'Browser.getVersion')
        expect(version).toMatchObject({ result: { product: expect.stringContaining('Chrome/') } })
        expect(await active).toBeGreaterThan(0)
      })

      test('names the Playwright version to install to a client of another one', async () => {
        const headers = { 'user-agent': 'Playwright/1.40.2 (x64; debian 12) node/20' }
        const { status, code, message } = await refused(runtime.dial(session, { kind: 'playwright', headers }, signal()))
        expect({ status, code }).toEqual({ status: 428, code: 'playwright_version' })
        expect(message).toContain(`npm i playwright-core@${instance.versions.playwright}`)
        const python = { 'user-agent': 'Playwright/1.40.0 (x64; debian 12) python/3.11' }
        const detail = (await refused(runtime.dial(session, { kind: 'playwright', headers: python }, signal()))).message
        expect(detail).toMatch(/pip install playwright==\d+\.\d+\.\*/)
      })

      test('refuses a port on which nothing listens', async () => {
        const { status, message } = await refused(runtime.dial(session, { kind: 'port', port: 9 }, signal()))
        expect(status).toBe(502)
        expect(message).toContain('port 9')
      })

      test('has no log of a container that it has not', async () => {
        const options = { follow: false, container: 'nowhere', signal: signal() }
        expect((await refused(bytesOf(runtime.logs(session, options)))).status).toBe(404)
      })

      test('shows its log, the last lines of it, and follows it until told to stop', async () => {
        const all = String(await bytesOf(runtime.logs(session, { follow: false, signal: signal() })))
        expect(all.split('\n').length).toBeGreaterThan(1)
        const tail = String(await bytesOf(runtime.logs(session, { follow: false, tailLines: 1, signal: signal() })))
        expect(all.endsWith(tail)).toBe(true)
        expect(tail.split('\n').filter(Boolean)).toHaveLength(1)
        const stop = new AbortController()
        const following = (async () => {
          for await (const _part of runtime.logs(session, { follow: true, signal: stop.signal })) stop.abort()
        })()
        await following
      })
    })

    test('runs a browser without a screen', async () => {
      const instance = await run({ ...specs.headless, start_url: 'data:text/html,<body style="background:rgb(10,200,30)">' })
      expect(instance.display).toBeNull()
      const picture = PNG.sync.read((await ask(instance.session, 'GET', '/screenshot')).bytes)
      expect([...picture.data.subarray(0, 3)]).toEqual([10, 200, 30])
      expect((await refused(runtime.dial(instance.session, { kind: 'vnc' }, signal()))).status).toBe(404)
      await stopped(runtime, instance.name, instance.uid, 0)
    })

    test('a start_url that cannot be opened leaves it running, with a note', async () => {
      const instance = await run({ ...specs.headless, start_url: 'http://127.0.0.1:9/', start_url_wait: 'load' })
      expect(instance.notes.join()).toMatch(/start_url could not be opened.*ERR_/)
      await stopped(runtime, instance.name, instance.uid, 0)
    })

    test('a session told to stop is gone: not observed, not dialled, its log still there; forgetting removes that too', async () => {
      const instance = await run(specs.headless)
      const { session } = instance
      await stopped(runtime, instance.name, instance.uid, 2_000)
      expect((await runtime.observe()).some(inName(instance.name))).toBe(false)
      const { status } = await refused(runtime.dial(session, { kind: 'cdp', headers: {} }, signal()))
      expect(status).toBe(503)
      await stopped(runtime, instance.name, instance.uid, 0)
      expect((await bytesOf(runtime.logs(session, { follow: false, signal: signal() }))).length).toBeGreaterThan(0)
      await runtime.forget(session)
      expect(await bytesOf(runtime.logs(session, { follow: false, signal: signal() })).catch(() => Buffer.alloc(0))).toHaveLength(
        0,
      )
    })

    test('can be stopped while it starts', async () => {
      const session = freshId()
      const named = instanceName(session, 1)
      await runtime.start(named, session, 1, specs.browser)
      const [instance] = (await runtime.observe()).filter(inName(named))
      await stopped(runtime, named, instance!.uid, 0)
      expect((await runtime.observe()).some(inName(named))).toBe(false)
      await runtime.forget(session)
    })

    test('a browser that crashes ends the session with a reason, and the next generation starts from its files', async () => {
      const first = await run(specs.headless)
      const { session } = first
      await ask(session, 'PUT', '/files/kept.txt', 'kept')
      cdpCall(runtime, session, 'Browser.crash').catch(() => {})
      const over = await whenSeen(runtime, inPhase(first.name, 'ended'))
      expect(over.cause).toBe('failed')
      expect(over.reason).toMatch(/Chromium (crashed|was killed|exited)/)
      await stopped(runtime, first.name, first.uid, 0)
      const second = await run(specs.headless, session, 2)
      expect(second.uid).not.toBe(first.uid)
      expect(String((await ask(session, 'GET', '/files/kept.txt')).bytes)).toBe('kept')
      await stopped(runtime, second.name, second.uid, 0)
      await runtime.forget(session)
    })

    test(`the agent's next life finds ${specs.outlivesAgent ? 'the session running' : 'no session of the life before'}`, async () => {
      const instance = await run(specs.headless)
      runtime = await lab.nextLife()
      const found = (await runtime.observe()).filter(each => each.session === instance.session)
      expect(found.map(each => each.uid)).toEqual(specs.outlivesAgent ? [instance.uid] : [])
      await stopped(runtime, instance.name, instance.uid, 0)
      await runtime.forget(instance.session)
    })
  })
}

function inName(name: string) {
  return (instance: Instance) => instance.name === name
}

function sizeOf(png: Buffer): { width: number; height: number } {
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20) }
}

async function cdpCall(runtime: Runtime, session: string, method: string): Promise<unknown> {
  const dialled = await runtime.dial(session, { kind: 'cdp', headers: {} }, signal())
  if (dialled.kind !== 'messages') throw new Error('CDP must be messages')
  const { socket } = dialled
  try {
    return await new Promise((resolve, reject) => {
      socket.once('message', data => resolve(JSON.parse(String(data))))
      socket.once('close', () => reject(new Error('closed')))
      socket.send(JSON.stringify({ id: 1, method }))
      socket.resume()
    })
  } finally {
    socket.terminate()
  }
}
