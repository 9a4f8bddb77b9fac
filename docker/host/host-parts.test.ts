/** The parts of the host that need no browser. */
import { mkdir, mkdtemp, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { PNG } from 'pngjs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type CdpMessage, CdpPipe } from './cdp-pipe.ts'
import { ClientFrames } from './client-frames.ts'
import { serveFile } from './files.ts'
import { makeFolder } from './folders.ts'
import { clampSize, fromEnv, type HostSpec } from './host-spec.ts'
import { isOpenable } from './http-server.ts'
import { watchMemory } from './memory-wall.ts'
import { encodePng } from './png.ts'
import { asRefusal } from './problem.ts'
import { Meter, type Process } from './processes.ts'
import { describeExit } from './program.ts'
import { sessionEnv } from './session-env.ts'
import { SessionStatus } from './session-status.ts'
import { refuseOtherVersion } from './versions-match.ts'

describe('pictures', () => {
  test('are what the pixels were', async () => {
    const pixels = Buffer.from(Array.from({ length: 17 * 9 * 4 }, (_, at) => (at * 37) % 256))
    const { data, width, height } = PNG.sync.read(await encodePng(pixels, 17, 9))
    expect([width, height]).toEqual([17, 9])
    for (let at = 0; at < pixels.length; at++) if (at % 4 !== 3) expect(data[at]).toBe(pixels[at])
  })
})

describe('client frames', () => {
  function frame(opcode: number, length: number): Buffer {
    const head =
      length < 126
        ? [length | 0x80]
        : length < 65_536
          ? [126 | 0x80, length >> 8, length & 255]
          : [127 | 0x80, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255]
    return Buffer.concat([Buffer.from([0x80 | opcode, ...head, 1, 2, 3, 4]), Buffer.alloc(length, 0x89)])
  }

  test('count messages and not keepalives, however the bytes are cut', async () => {
    const opcodes = fc.array(fc.tuple(fc.constantFrom(0, 1, 2, 8, 9, 10), fc.constantFrom(0, 5, 125, 126, 300, 70_000)), {
      maxLength: 6,
    })
    await fc.assert(
      fc.asyncProperty(opcodes, fc.array(fc.integer({ min: 1, max: 9_000 }), { maxLength: 40 }), async (frames, cuts) => {
        let messages = 0
        const eyes = new ClientFrames(() => messages++)
        const sent = Buffer.concat(frames.map(([opcode, length]) => frame(opcode, length)))
        const passed: Buffer[] = []
        eyes.on('data', chunk => passed.push(chunk))
        let at = 0
        for (const cut of [...cuts, sent.length]) {
          eyes.write(sent.subarray(at, at + cut))
          at += cut
        }
        eyes.end()
        await new Promise(resolve => eyes.once('end', resolve))
        expect(Buffer.concat(passed).equals(sent)).toBe(true)
        expect(messages).toBe(frames.filter(([opcode]) => opcode < 8).length)
      }),
      { numRuns: 60 },
    )
  })
})

describe('the shared CDP pipe', () => {
  function world() {
    const fromBrowser = new PassThrough()
    const toBrowser = new PassThrough()
    const commands: CdpMessage[] = []
    toBrowser.on('data', chunk => {
      for (const text of String(chunk).split('\0').filter(Boolean)) commands.push(JSON.parse(text))
    })
    const say = (message: object | string) =>
      fromBrowser.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\0`)
    const pipe = new CdpPipe(fromBrowser, toBrowser, message => {
      if (message.method === 'Secret.drop') message.params = {}
    })
    const rooted: object[] = []
    pipe.root.onmessage = message => rooted.push(message)
    async function client(session: string) {
      const heard: string[] = []
      const attaching = pipe.attach({ send: text => heard.push(text), close: () => heard.push('closed') })
      await vi.waitFor(() => expect(commands.at(-1)?.method).toBe('Target.attachToBrowserTarget'), { timeout: 30_000 })
      say({ id: commands.at(-1)!.id, result: { sessionId: session } })
      return { heard, ...(await attaching) }
    }
    return { fromBrowser, commands, say, pipe, rooted, client }
  }

  test('gives every client a session of its own and shows it as a connection', async () => {
    const { commands, say, client, rooted } = world()
    const ann = await client('AAA')
    const bob = await client('BBB')
    ann.receive('{"id":1,"method":"Browser.getVersion"}')
    bob.receive('{"id":1,"method":"Browser.getVersion","params":{}}')
    await vi.waitFor(() =>
      expect(commands.slice(-2).map(each => [each.id, each.sessionId])).toEqual([
        [1, 'AAA'],
        [1, 'BBB'],
      ]),
    )
    say('{"id":1,"result":{"product":"x"},"sessionId":"BBB"}')
    say('{"method":"Target.attachedToTarget","params":{"sessionId":"CCC","targetInfo":{}},"sessionId":"AAA"}')
    say('{"method":"Page.loaded","params":{"sessionId":"not this"},"sessionId":"CCC"}')
    say('{"method":"Root.event","params":{"sessionId":"AAA"}}')
    await vi.waitFor(() => expect(rooted).toEqual([{ method: 'Root.event', params: { sessionId: 'AAA' } }]), { timeout: 30_000 })
    expect(bob.heard).toEqual(['{"id":1,"result":{"product":"x"}}'])
    expect(ann.heard.map(text => JSON.parse(text))).toEqual([
      { method: 'Target.attachedToTarget', params: { sessionId: 'CCC', targetInfo: {} } },
      { method: 'Page.loaded', params: { sessionId: 'not this' }, sessionId: 'CCC' },
    ])
    bob.receive('{"id":2,"method":"Page.enable","sessionId":"CCC"}')
    expect(JSON.parse(bob.heard.at(-1)!)).toMatchObject({ id: 2, error: { code: -32001 } })
    ann.gone()
    await vi.waitFor(() =>
      expect(commands.at(-1)).toMatchObject({ method: 'Target.detachFromTarget', params: { sessionId: 'AAA' } }),
    )
    say('{"method":"Page.loaded","params":{},"sessionId":"BBB"}')
    await vi.waitFor(() => expect(bob.heard.at(-1)).toBe('{"method":"Page.loaded","params":{}}'), { timeout: 30_000 })
    expect(ann.heard).toHaveLength(2)
  })

  test('keeps messages whole over any cuts, rewrites commands, and tells everybody of the end', async () => {
    const { fromBrowser, commands, pipe, rooted, client } = world()
    const ann = await client('AAA')
    const text = Buffer.from(`{"method":"Large","params":{"text":"${'ü'.repeat(50)}"},"sessionId":"AAA"}\0{"method":"Root"}\0`)
    for (const byte of text) fromBrowser.write(Buffer.from([byte]))
    await vi.waitFor(() => expect(rooted).toEqual([{ method: 'Root' }]), { timeout: 30_000 })
    expect(JSON.parse(ann.heard[0]!).params.text).toBe('ü'.repeat(50))
    pipe.root.send({ id: 7, method: 'Secret.drop', params: { a: 1 } })
    pipe.root.send({ id: 8, method: 'Network.enable' })
    await vi.waitFor(() => expect(commands.at(-1)?.params?.maxResourceBufferSize).toBeGreaterThan(30 * 2 ** 20), {
      timeout: 30_000,
    })
    expect(commands.at(-2)).toEqual({ id: 7, method: 'Secret.drop', params: {} })
    const call = pipe.call('Browser.close')
    fromBrowser.destroy()
    await expect(call).rejects.toThrow(/browser is gone/)
    expect(ann.heard.at(-1)).toBe('closed')
    await expect(pipe.call('Browser.getVersion')).rejects.toThrow(/browser is gone/)
  })
})

describe('files', () => {
  let folder: string
  let server: Server
  let origin: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'files-'))
    await mkdir(join(folder, 'home/sub'), { recursive: true })
    await writeFile(join(folder, 'outside'), 'secret')
    await writeFile(join(folder, 'home/sub/in.txt'), 'inside')
    await symlink('../outside', join(folder, 'home/out'))
    await symlink('..', join(folder, 'home/up'))
    await symlink('../not-there', join(folder, 'home/nowhere'))
    await symlink('sub', join(folder, 'home/within'))
    server = createServer((request, response) => {
      serveFile(join(folder, 'home'), new URL(request.url!, 'http://host'), request, response).catch(cause => {
        const refusal = asRefusal(cause)
        response.writeHead(refusal.status).end(refusal.body())
      })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    await rm(folder, { recursive: true, force: true })
  })

  test.each([
    ['GET', '/files/out', 403],
    ['GET', '/files/up/outside', 403],
    ['PUT', '/files/up/new', 403],
    ['PUT', '/files/nowhere', 403],
    ['DELETE', '/files/up/outside', 403],
    ['GET', '/files/%2e%2e%2foutside', 400],
    ['GET', '/files/sub%2f..%2f..%2foutside', 400],
    ['GET', '/files/a%00b', 400],
    ['GET', '/files/%zz', 400],
    ['DELETE', '/files/', 409],
    ['DELETE', '/files/missing', 404],
    ['POST', '/files/sub/in.txt', 405],
    ['PUT', '/files/sub', 409],
    ['PUT', '/files/sub/in.txt/deeper', 409],
    ['GET', '/files/within/in.txt', 200],
    ['GET', '/files/./sub//in.txt', 200],
  ])('%s %s answers %i', async (method, path, status) => {
    const answer = await fetch(origin + path, { method, ...(method === 'PUT' && { body: 'x' }) })
    expect(answer.status).toBe(status)
    expect(await answer.text()).not.toContain('secret')
    expect(await readFile(join(folder, 'outside'), 'utf8')).toBe('secret')
  })
})

test('a folder is not made for ever under one that is gone', async () => {
  const base = await mkdtemp(join(tmpdir(), 'gone-'))
  makeFolder(join(base, 'a/b/c'))
  const before = process.cwd()
  const inside = join(base, 'removed')
  makeFolder(inside)
  process.chdir(inside)
  try {
    await rmdir(inside)
    expect(() => makeFolder('x/y')).toThrow(/removed/)
  } finally {
    process.chdir(before)
    await rm(base, { recursive: true })
  }
})

describe('versions', () => {
  test.each([
    ['Playwright/1.65.0 (x64; debian 12) node/24', false],
    ['Playwright/1.65.9 (x64) python/3.12', false],
    ['Mozilla/5.0', false],
    [undefined, false],
    ['Playwright/1.64.1 (x64) node/22', true],
    ['Playwright/2.65.0 (x64) node/22', true],
  ])('%s refused: %s', (userAgent, refused) => {
    const check = () => refuseOtherVersion(userAgent, '1.65.1')
    if (refused) expect(check).toThrow(/npm i playwright-core@1\.65\.1.*pip install playwright==1\.65\.\*/)
    else expect(check).not.toThrow()
  })
})

describe('environment', () => {
  test('the person’s is laid over ours, except for what holds the session together', () => {
    const given = {
      FOO: 'bar',
      TZ: 'UTC',
      DISPLAY: ':1',
      LD_PRELOAD: 'x',
      HOME: '/',
      NODE_OPTIONS: '--x',
      'a b': 'c',
      PATH: '/opt/bin',
    }
    const { env, ignored } = sessionEnv({ home: '/home/x', scratch: '/run/x', env: given } as unknown as HostSpec)
    expect(env).toMatchObject({ FOO: 'bar', TZ: 'UTC', HOME: '/home/x', PATH: '/opt/bin' })
    expect(ignored.sort()).toEqual(['DISPLAY', 'HOME', 'LD_PRELOAD', 'NODE_OPTIONS', 'a b'])
    expect(env).not.toHaveProperty('LD_PRELOAD')
  })
})

test('language and proxy come from where people put them', () => {
  expect(fromEnv({ LANG: 'de_CH.UTF-8', HTTPS_PROXY: 'http://p:1', NO_PROXY: 'a,b' })).toEqual({
    locale: 'de-CH',
    proxy: { server: 'http://p:1', bypass: 'a,b' },
  })
  expect(fromEnv({ LANG: 'C.UTF-8' })).toEqual({})
  expect(fromEnv({ LC_ALL: 'fr', LANG: 'de' })).toEqual({ locale: 'fr' })
})

describe('status', () => {
  test('a waiting reader gets the next change, an impatient one what is there', async () => {
    const status = new SessionStatus(() => 1_000)
    const { seq } = status.get()
    const waiting = status.newerThan(seq, 60_000, new AbortController().signal)
    status.phase('display_ready')
    expect(await waiting).toMatchObject({ phases: [{ phase: 'display_ready', at: 1_000 }] })
    expect((await status.newerThan(status.get().seq, 0, new AbortController().signal)).seq).toBe(status.get().seq)
    const left = new AbortController()
    const abandoned = status.newerThan(status.get().seq, 60_000, left.signal)
    left.abort()
    expect((await abandoned).state).toBe('starting')
  })

  test('activity is told now and then, but never lost', () => {
    let now = 100_000
    const status = new SessionStatus(() => now)
    status.active()
    const { seq } = status.get()
    now += 1_000
    status.active()
    expect(status.get()).toMatchObject({ seq, active_at: 101_000 })
    now += 10_000
    status.active()
    expect(status.get().seq).toBe(seq + 1)
  })
})

describe('figures', () => {
  const one = (pid: number, cpuTicks: number): Process => ({ pid, user: 1, parent: 1, name: 'x', privateBytes: 1_000, cpuTicks })

  test('processor time never falls when a process ends', () => {
    let now = 0
    const meter = new Meter('tree', null, () => now)
    expect(meter.read([one(1, 100), one(2, 50)]).cpu_seconds).toBe(1.5)
    now = 1_000
    expect(meter.read([one(1, 150)])).toMatchObject({ cpu_seconds: 2, cpu_millis: 500, processes: 1, memory_bytes: 1_000 })
    now = 2_000
    expect(meter.read([one(1, 150), one(2, 10)]).cpu_seconds).toBe(2.1)
  })

  test('the memory wall ends a session that stays over it with no page to blame', () => {
    vi.useFakeTimers()
    try {
      const over = vi.fn()
      const life = new AbortController()
      watchMemory({
        owns: 'tree',
        limit: 1_500,
        signal: life.signal,
        onPageEnded: vi.fn(),
        onOver: over,
        list: () => [one(1, 1), one(2, 1)],
        kill: vi.fn(),
      })
      vi.advanceTimersByTime(2_000)
      expect(over).not.toHaveBeenCalled()
      vi.advanceTimersByTime(2_000)
      expect(over).toHaveBeenCalledOnce()
      life.abort()
      vi.advanceTimersByTime(10_000)
      expect(over).toHaveBeenCalledOnce()
    } finally {
      vi.useRealTimers()
    }
  })
})

test('sizes, addresses and exits in words', () => {
  const max = { width: 3840, height: 2160 }
  expect(clampSize({ width: 99_999, height: 1 }, max)).toEqual({ width: 3840, height: 240 })
  expect(clampSize({ width: 801.6, height: 600 }, max)).toEqual({ width: 802, height: 600 })
  for (const url of ['file:///etc/passwd', 'javascript:alert(1)', 'chrome://settings', 'about:config', ''])
    expect(isOpenable(url)).toBe(false)
  for (const url of ['https://example.org', 'HTTP://x', 'data:text/html,x', 'about:blank']) expect(isOpenable(url)).toBe(true)
  expect(describeExit('Chromium', { code: null, signal: 'SIGKILL' })).toBe(
    'Chromium was killed (signal 9, perhaps out of memory)',
  )
  expect(describeExit('xterm', { code: 0, signal: null })).toBe('xterm was closed')
  expect(describeExit('xterm', { code: 3, signal: null })).toBe('xterm exited with code 3')
})
