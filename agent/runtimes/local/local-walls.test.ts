/** What a session cannot do, and what is left of it when something is killed: everything here looks at the machine from outside. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Instance, instanceName, type Runtime } from '../runtime.ts'
import { expectNoneLeft, processesOf, runtimeFoldersOf, statusField } from '../testing/left-over.ts'
import { type LocalLab, localLab, localSpec } from '../testing/local-lab.ts'
import { bytesOf, inPhase, whenRunning, whenSeen } from '../testing/runtime-watching.ts'
import { createLocalRuntime } from './local-runtime.ts'

const isRoot = process.getuid!() === 0

async function textFile(runtime: Runtime, session: string, path: string): Promise<string> {
  const answer = await runtime.host(session, {
    method: 'GET',
    path: `/files/${path}`,
    headers: {},
    signal: AbortSignal.timeout(5_000),
  })
  return answer.status === 200 ? String(await bytesOf(answer.body)) : ''
}

describe('walls', { timeout: 90_000 }, () => {
  let lab: LocalLab
  let runtime: Runtime
  beforeAll(async () => {
    lab = await localLab()
    runtime = lab.runtime
    await writeFile(join(lab.dataDir, 'admin-token'), 'secret', { mode: 0o600 })
  }, 60_000)
  afterAll(() => lab?.dispose(), 30_000)

  /** Runs a shell script as the session's program and answers what it wrote to ~/said. */
  async function say(session: string, script: string): Promise<{ said: string; instance: Instance }> {
    const name = instanceName(session, 1)
    const command = ['bash', '-c', `{ ${script}\n} > ~/half 2>&1; mv ~/half ~/said; exec sleep 600`]
    await runtime.start(name, session, 1, localSpec({ kind: 'app', command }))
    const instance = await whenRunning(runtime, name)
    await expect.poll(() => textFile(runtime, session, 'said'), { timeout: 30_000 }).not.toBe('')
    return { said: await textFile(runtime, session, 'said'), instance }
  }

  test('a session sees neither the agent’s files nor another session’s, nor its processes', async () => {
    const first = await say('ses_one', 'echo mine > ~/private; id -u')
    const paths = [
      lab.dataDir,
      join(lab.dataDir, 'admin-token'),
      join(lab.dataDir, 'sessions/ses_one/home/private'),
      '/root',
      import.meta.filename,
    ]
    const look = paths.map(path => `cat '${path}' 2>&1 | head -c 100; ls '${path}' 2>&1`).join('; ')
    const probe = `id -u; ${look}; ls /tmp /run/porthole /tmp/porthole-* 2>&1; ps -e 2>/dev/null | wc -l; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'`
    const second = await say('ses_two', probe)
    expect(second.said).not.toMatch(/secret|^mine$/m)
    expect(second.said).not.toContain('import { type ChildProcess')
    expect(second.said.match(/No such file|Permission denied/g)!.length).toBeGreaterThanOrEqual(paths.length * 2)
    const user = (said: string) => said.split('\n')[0]
    if (isRoot) {
      expect(user(first.said)).not.toBe('0')
      expect(user(second.said)).not.toBe(user(first.said))
    }
    for (const { instance } of [first, second]) await runtime.stop(instance.name, instance.uid, 0)
  })

  test('a link in the place of a socket is not followed', async () => {
    const { instance } = await say(
      'ses_trap',
      'mv /run/porthole/rfb.sock /run/porthole/real; ln -s real /run/porthole/rfb.sock; echo done',
    )
    await expect(runtime.dial('ses_trap', { kind: 'vnc' }, AbortSignal.timeout(5_000))).rejects.toThrow(
      /something else in the place/,
    )
    await runtime.stop(instance.name, instance.uid, 0)
  })

  test('a program that leaves its session and its parent ends with it', async () => {
    const { instance } = await say('ses_daemon', "setsid -f bash -c 'setsid -f sleep 700' </dev/null >/dev/null 2>&1; echo done")
    expect(processesOf(lab.dataDir).some(each => each.command.includes('sleep 700'))).toBe(true)
    await runtime.stop(instance.name, instance.uid, 0)
    await expectNoneLeft(lab.dataDir)
  })

  test('pages run in Chromium’s own sandbox, as nobody the machine knows', async () => {
    const { notes } = await runtime.capabilities()
    const name = instanceName('ses_sandbox', 1)
    await runtime.start(name, 'ses_sandbox', 1, localSpec())
    const instance = await whenRunning(runtime, name)
    const pages = processesOf(lab.dataDir).filter(each => each.command.includes('--type=renderer'))
    expect(pages.length).toBeGreaterThan(0)
    if (!notes.join().includes('without its own sandbox'))
      for (const { pid } of pages) expect(statusField(pid, 'Seccomp')).toBe('2')
    const withUser = processesOf(lab.dataDir).filter(each => !/^\S*(bwrap|tini) /.test(each.command))
    if (isRoot) for (const { pid } of withUser) expect(statusField(pid, 'Uid')).not.toMatch(/^0\b/)
    const plain = withUser.filter(each => /main\.ts|Xvnc|--user-data-dir=\S+ --remote/.test(each.command))
    expect(plain.length).toBeGreaterThanOrEqual(2)
    for (const { pid } of plain) expect(statusField(pid, 'CapEff')).toMatch(/^0+$/)
    await runtime.stop(instance.name, instance.uid, 0)
  })

  test.each([
    ['/usr/lib/chromium/chromium --user-data-dir', /Chromium was killed \(signal 9/],
    ['Xvnc', /display \(Xvnc\) was killed \(signal 9/],
    ['main.ts', /host program was killed \(signal 9/],
  ])('killing %s ends the session with a reason and leaves nothing', async (victim, reason) => {
    const session = `ses_kill${victim.length}`
    const name = instanceName(session, 1)
    await runtime.start(name, session, 1, localSpec())
    await whenRunning(runtime, name)
    const found = processesOf(join(lab.dataDir, 'sessions', session)).find(
      each => each.command.includes(victim) && !/bwrap|tini/.test(each.command),
    )
    process.kill(found!.pid, 'SIGKILL')
    const over = await whenSeen(runtime, inPhase(name, 'ended'))
    expect(over.cause).toBe('failed')
    expect(over.reason).toMatch(reason)
    await expectNoneLeft(lab.dataDir)
    await runtime.stop(name, over.uid, 0)
    await runtime.forget(session)
    expect(readdirSync(join(lab.dataDir, 'sessions'))).not.toContain(session)
  })
})

describe('a machine on which bubblewrap does not work', { timeout: 90_000 }, () => {
  test('still runs sessions, says what they lack, and ends all of them', async () => {
    const lab = await localLab({ programs: { bwrap: null } })
    try {
      const { notes, kinds } = await lab.runtime.capabilities()
      expect(kinds).toContain('browser')
      expect(notes.join()).toMatch(/not walled off: bubblewrap is not installed/)
      const names = ['ses_bare', 'ses_other'].map(session => ({ session, name: instanceName(session, 1) }))
      for (const { session, name } of names) await lab.runtime.start(name, session, 1, localSpec())
      for (const { name } of names) await whenRunning(lab.runtime, name)
      const homes = join(lab.dataDir, 'sessions')
      const tree = processesOf(homes)
      expect(tree.length).toBeGreaterThan(10)
      if (isRoot) for (const { pid } of tree) expect(statusField(pid, 'Uid')).not.toMatch(/^0\b/)
      const [first] = names
      const picture = await lab.runtime.host(first!.session, {
        method: 'GET',
        path: '/screenshot',
        headers: {},
        signal: AbortSignal.timeout(9_000),
      })
      expect(picture.status).toBe(200)
      await bytesOf(picture.body)
      const [instance] = (await lab.runtime.observe()).filter(each => each.session === first!.session)
      await lab.runtime.stop(first!.name, instance!.uid, 0)
      await expectNoneLeft(join(homes, 'ses_bare'))
      expect(processesOf(join(homes, 'ses_other')).length).toBeGreaterThan(5)
    } finally {
      await lab.dispose()
    }
    await expectNoneLeft(lab.dataDir)
  })
})

describe('when the agent is killed', { timeout: 120_000 }, () => {
  const agents: ChildProcess[] = []
  const folders: string[] = []
  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.kill('SIGKILL')
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
  })

  async function loneAgent(sessions: number, prefix: string[] = []) {
    const dataDir = await mkdtemp(join(tmpdir(), 'lone-'))
    folders.push(dataDir)
    const program = join(import.meta.dirname, '../testing/lone-agent.ts')
    const [command, ...args] = [...prefix, process.execPath, program, dataDir, String(sessions)]
    if (prefix.length > 0) await chmod(dataDir, 0o777)
    const agent = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    agents.push(agent)
    const lines = createInterface(agent.stdout!)[Symbol.asyncIterator]()
    return { agent, dataDir, line: async () => String((await lines.next()).value) }
  }

  test('at any moment of a session’s start: nothing is left within a second', async () => {
    for (const delay of [0, 5, 12, 20, 35, 60, 150, 400, 900]) {
      const { agent, dataDir, line } = await loneAgent(1)
      await line()
      expect(await line()).toBe('begun')
      await new Promise(resolve => setTimeout(resolve, delay))
      agent.kill('SIGKILL')
      await expect
        .poll(() => processesOf(dataDir), { timeout: 30_000, interval: 20, message: `killed ${delay} ms after the start` })
        .toEqual([])
    }
  })

  test('with sessions running: nothing is left, and the next agent finds files but no session, and sweeps', async () => {
    const { agent, dataDir, line } = await loneAgent(2)
    for (const expected of [/^open/, 'begun', 'running', 'begun', 'running']) expect(await line()).toMatch(expected)
    expect(processesOf(dataDir).length).toBeGreaterThan(10)
    expect(runtimeFoldersOf(agent.pid!)).toHaveLength(1)
    const killed = performance.now()
    agent.kill('SIGKILL')
    await expectNoneLeft(dataDir)
    expect(performance.now() - killed).toBeLessThan(10_000)
    const next = await createLocalRuntime({ dataDir })
    expect(await next.observe()).toEqual([])
    expect(readdirSync(join(dataDir, 'code-cache'))).toHaveLength(1)
    expect(runtimeFoldersOf(agent.pid!)).toEqual([])
    expect((await bytesOf(next.logs('ses_lone0', { follow: false, signal: AbortSignal.timeout(5_000) }))).length).toBeGreaterThan(
      0,
    )
    await next.close()
  })

  test.runIf(isRoot)('an agent that is an ordinary user runs and loses its sessions just so', async () => {
    const asOther = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', '--']
    const { agent, dataDir, line } = await loneAgent(1, asOther)
    expect(await line()).toMatch(/^open/)
    expect(await line()).toBe('begun')
    expect(await line()).toBe('running')
    const inside = processesOf(dataDir)
    const page = inside.find(each => each.command.includes('--type=renderer'))
    expect(statusField(page!.pid, 'Seccomp')).toBe('2')
    agent.kill('SIGKILL')
    await expectNoneLeft(dataDir)
  })
})
