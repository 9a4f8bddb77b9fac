/** The agent as a process, with the local runtime and real sessions, against an API that only says what a test says. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { expectNoneLeft, processesOf } from './runtimes/testing/left-over.ts'
import { ApiDouble, listen } from './testing/api-double.ts'
import { key, pointer } from './testing/rfb-samples.ts'
import { RfbViewer } from './testing/rfb-viewer.ts'
import { aDesired, aSpec } from './testing/session-fixtures.ts'

let api: ApiDouble
let dataDir: string
let agent: AgentProcess

class AgentProcess {
  readonly child: ChildProcess
  readonly messages: { type: string; message?: string }[] = []
  stderr = ''
  readonly exited: Promise<number | null>
  constructor(environment: Record<string, string>) {
    this.child = fork(new URL('./main.ts', import.meta.url), {
      env: { PATH: process.env.PATH, ...environment } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    })
    this.child.stderr!.on('data', data => (this.stderr += data))
    this.child.on('message', message => this.messages.push(message as { type: string }))
    this.exited = once(this.child, 'exit').then(([code]) => code)
  }
  async ready(): Promise<void> {
    while (!this.messages.some(message => message.type === 'ready')) {
      const gone = this.exited.then(code => {
        throw new Error(`the agent ended with ${code}: ${this.stderr}`)
      })
      await Promise.race([once(this.child, 'message'), gone])
    }
  }
}

const settings = () => ({ PORTHOLE_URL: api.origin, PORTHOLE_JOIN_TOKEN: 'join-1', PORTHOLE_RUNTIME: 'local', DATA_DIR: dataDir })
/** All of the sessions' processes, without the agent. */
const sessionProcesses = () => processesOf(dataDir).filter(({ pid }) => pid !== agent.child.pid)
const spec = aSpec({ display: { width: 800, height: 600 } })

beforeAll(async () => {
  api = await ApiDouble.start()
  dataDir = await mkdtemp(join(tmpdir(), 'agent-main-'))
  agent = new AgentProcess(settings())
  await agent.ready()
})
afterAll(async () => {
  agent?.child.kill('SIGTERM')
  await agent?.exited
  await api?.kill()
  await rm(dataDir, { recursive: true, force: true })
})

/** Hands a data socket to a program that wants to dial one: what the API does for a viewer. */
async function doorTo(kind: 'playwright' | 'cdp', session: string): Promise<{ url: string; close: () => void }> {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    verifyClient: ({ req }, done) => (req.headers.upgrade ? done(true) : done(false, 400)),
  })
  await once(server, 'listening')
  server.on('connection', async (viewer, request) => {
    viewer.pause()
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => name === 'user-agent' || name.startsWith('x-playwright')),
    ) as Record<string, string>
    const { socket } = await api.opened({ kind, session, target: { headers } })
    for (const [from, to] of [
      [viewer, socket],
      [socket, viewer],
    ] as const) {
      from.on('message', (data, binary) => to.send(data, { binary }))
      from.on('close', () => to.close())
    }
    viewer.resume()
    socket.resume()
  })
  return { url: `ws://127.0.0.1:${(server.address() as { port: number }).port}/`, close: () => server.close() }
}

describe('a real session', () => {
  beforeAll(async () => {
    api.want(aDesired('ses_real', { spec }))
    const view = await api.until(() => {
      const item = api.observed.get('ses_real')
      return item?.phase === 'running' || item?.phase === 'ended' ? item : undefined
    }, 60_000)
    expect(view).toMatchObject({ phase: 'running', display: { width: 800, height: 600 } })
    expect(view.phases.length).toBeGreaterThan(1)
  }, 90_000)

  test('its key file is for nobody else', async () => {
    expect((await stat(join(dataDir, 'key.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dataDir, 'state.json'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(dataDir, 'state.json'), 'utf8')).toContain('ses_real')
  })

  test('three viewers see the screen; the one in control types, and that is activity', async () => {
    const viewers = await Promise.all(
      (['view', 'control', 'view'] as const).map(
        async role => new RfbViewer((await api.opened({ kind: 'vnc', session: 'ses_real', role, target: {} })).socket, [0]),
      ),
    )
    for (const rfb of viewers) {
      await rfb.until(() => rfb.ready)
      await rfb.frame()
      expect([rfb.width, rfb.height]).toEqual([800, 600])
    }
    const [, hands] = viewers
    hands!.send(pointer(1, 100, 100), pointer(0, 100, 100), key(true, 97), key(false, 97))
    await hands!.frame()
    const view = await api.until(() => {
      const item = api.observed.get('ses_real')
      return item?.idle_ms !== null ? item : undefined
    })
    expect(view!.idle_ms).toBeLessThan(15_000)
  })

  test('CDP and Playwright clients drive it through streams', { timeout: 60_000 }, async () => {
    const cdp = await doorTo('cdp', 'ses_real')
    const byCdp = await chromium.connectOverCDP(cdp.url)
    const page = byCdp.contexts()[0]!.pages()[0] ?? (await byCdp.contexts()[0]!.newPage())
    await page.goto('data:text/html,<title>through the wall</title>')
    const door = await doorTo('playwright', 'ses_real')
    const byPlaywright = await chromium.connect(door.url)
    const titles = await Promise.all(byPlaywright.contexts().flatMap(context => context.pages().map(each => each.title())))
    expect(titles).toContain('through the wall')
    for (let count = 0; count < 200; count++) expect(await page.evaluate('6*7')).toBe(42)
    await byCdp.close()
    await byPlaywright.close()
    cdp.close()
    door.close()
  })

  test('a screenshot and the logs', async () => {
    const { socket } = await api.opened({
      kind: 'http',
      session: 'ses_real',
      target: { request: { method: 'GET', path: '/screenshot', headers: {} } },
    })
    const heard = listen(socket)
    let size = 0
    socket.on('message', (data: Buffer, binary) => {
      if (binary) socket.send(JSON.stringify({ type: 'credit', total: (size += data.length) }))
    })
    expect(await heard.closed).toMatchObject({ code: 1000 })
    expect(JSON.parse(heard.messages.find(message => typeof message === 'string') as string)).toMatchObject({
      type: 'head',
      status: 200,
    })
    expect(heard.bytes().subarray(1, 4).toString()).toBe('PNG')

    const logs = listen((await api.opened({ kind: 'logs', session: 'ses_real', target: { logs: { follow: false } } })).socket)
    expect(await logs.closed).toMatchObject({ code: 1000 })
    expect(logs.bytes().toString()).toContain('ses-real-g1')
  })

  test('a killed agent leaves no process; its next life says so honestly and keeps its name', { timeout: 90_000 }, async () => {
    const before = sessionProcesses()
    expect(before.length).toBeGreaterThan(0)
    agent.child.kill('SIGKILL')
    await agent.exited
    await expectNoneLeft(dataDir)
    agent = new AgentProcess(settings())
    await agent.ready()
    expect(await api.phase('ses_real', 'ended')).toMatchObject({
      cause: 'failed',
      reason: expect.stringContaining('agent restarted'),
    })
    api.want(aDesired('ses_real', { spec, generation: 2 }))
    await api.until(() => api.observed.get('ses_real')?.phase === 'running', 60_000)
    api.want({ ...aDesired('ses_real', { generation: 2, state: 'deleted' }), spec: undefined })
    await api.phase('ses_real', 'absent')
    await expect.poll(sessionProcesses, { timeout: 30_000 }).toEqual([])
  })
})

describe('ends', () => {
  test('SIGTERM: within five seconds, nothing left', async () => {
    api.want(aDesired('ses_last', { spec }))
    await api.until(() => api.observed.get('ses_last'))
    const begun = performance.now()
    agent.child.kill('SIGTERM')
    expect(await agent.exited).toBe(0)
    expect(performance.now() - begun).toBeLessThan(5_000)
    await expectNoneLeft(dataDir)
  })

  test('wrong settings: all of them told, nothing else, exit 1', async () => {
    const child = new AgentProcess({ PORTHOLE_RUNTIME: 'docker', PORTHOLE_MAX_SESSIONS: '0' })
    expect(await child.exited).toBe(1)
    for (const name of ['PORTHOLE_URL', 'PORTHOLE_RUNTIME', 'PORTHOLE_MAX_SESSIONS']) expect(child.stderr).toContain(name)
    expect(child.stderr).not.toContain('    at ')
    expect(child.messages).toMatchObject([{ type: 'fatal', message: expect.stringContaining('PORTHOLE_URL') }])
  })

  test('a spent join token: one clear line, exit 1', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'agent-main-'))
    const child = new AgentProcess({ ...settings(), DATA_DIR: folder, PORTHOLE_JOIN_TOKEN: 'spent' })
    expect(await child.exited).toBe(1)
    expect(child.messages).toMatchObject([{ type: 'fatal', message: expect.stringContaining('join token') }])
    await rm(folder, { recursive: true, force: true })
  })
})
