import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const run = fileURLToPath(new URL('./run.mjs', import.meta.url))
const pinned = `node_modules/node-${process.platform}-${process.arch}`
const alive = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

interface Started {
  child: ChildProcessByStdio<null, Readable, Readable>
  /** Everything said so far, both streams. */
  said(): string
  /** Resolves when that has been said. */
  line(text: string): Promise<void>
  ended: Promise<{ code: number | null; signal: string | null }>
}

it('package-lock.json names every package that any of its packages asks for, those for other machines too', () => {
  const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
  const found = (from: string, name: string): boolean => {
    if (packages[`${from && `${from}/`}node_modules/${name}`]) return true
    return from !== '' && found(from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), name)
  }
  const missing = Object.entries<{ optionalDependencies?: object; dependencies?: object }>(packages).flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter(name => !found(path, name))
      .map(name => `${path} asks for ${name}`),
  )
  expect(missing).toEqual([])
})

describe('run.mjs', { timeout: 60_000 }, () => {
  let root: string
  const children: Started['child'][] = []

  /** A project of one local package, and an entry that each test writes. */
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'run-'))
    for (const dir of ['setup', 'part', 'bench']) mkdirSync(join(root, dir))
    cpSync(run, join(root, 'setup/run.mjs'))
    writeFileSync(join(root, 'part/package.json'), '{"name":"part","version":"1.0.0"}')
    writeFileSync(join(root, 'package.json'), '{"name":"made","type":"module","dependencies":{"part":"file:part"}}')
    lock('1.0.0')
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  })

  function lock(version: string) {
    const packages = {
      '': { name: 'made', dependencies: { part: 'file:part' } },
      'node_modules/part': { resolved: 'part', link: true },
      part: { version },
    }
    writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ name: 'made', lockfileVersion: 3, requires: true, packages }))
  }

  function start(command: string, env: Record<string, string> = {}, args: string[] = []): Started {
    const { npm_execpath: _, ...inherited } = process.env
    const child = spawn(process.execPath, [join(root, 'setup/run.mjs'), command, ...args], {
      env: { ...inherited, DATA_DIR: join(root, 'data'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.push(child)
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (text += chunk))
    const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }))
    const line = (wanted: string) => vi.waitFor(() => expect(text).toContain(wanted), { timeout: 20_000, interval: 10 })
    return { child, said: () => text, line, ended }
  }

  /** As after an install; the pinned Node is the one that runs this test. */
  function installed(entry: string, file = 'setup/start.ts') {
    mkdirSync(join(root, pinned, 'bin'), { recursive: true })
    symlinkSync(process.execPath, join(root, pinned, 'bin/node'))
    cpSync(join(root, 'package-lock.json'), join(root, 'node_modules/.package-lock.json'))
    writeFileSync(join(root, file), entry)
  }

  it('installs once when two start at once, and not again', async () => {
    writeFileSync(join(root, 'setup/start.ts'), 'const word: string = "ran"\nconsole.log(word)')
    const both = [start('start'), start('start')]
    for (const { ended } of both) expect(await ended).toEqual({ code: 0, signal: null })
    const said = both.map(one => one.said()).join('')
    expect(said.match(/^Installing the packages/gm)).toHaveLength(1)
    expect(said.match(/^ran$/gm)).toHaveLength(2)
    const again = start('start')
    await again.ended
    expect(again.said()).toBe('ran\n')
  })

  it('installs anew when the lock file changed', async () => {
    installed('console.log("ran")')
    writeFileSync(join(root, 'part/package.json'), '{"name":"part","version":"1.1.0"}')
    lock('1.1.0')
    const { said, ended } = start('start')
    await ended
    expect(said()).toMatch(/^Installing the packages[\s\S]*^ran$/m)
  })

  it('installs also what the lock file forgot, and leaves that file alone', async () => {
    mkdirSync(join(root, 'late'))
    writeFileSync(join(root, 'late/package.json'), '{"name":"late","version":"1.0.0","type":"module","exports":"./late.js"}')
    writeFileSync(join(root, 'late/late.js'), 'console.log("late")')
    writeFileSync(
      join(root, 'package.json'),
      '{"name":"made","type":"module","dependencies":{"part":"file:part","late":"file:late"}}',
    )
    writeFileSync(join(root, 'setup/start.ts'), 'await import("late")')
    const before = readFileSync(join(root, 'package-lock.json'), 'utf8')
    const { said, ended } = start('start')
    expect((await ended).code).toBe(0)
    expect(said()).toMatch(/package-lock\.json does not tell everything[\s\S]*^late$/m)
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).toBe(before)
  })

  it('says in one line why npm failed, and where the rest is', async () => {
    writeFileSync(join(root, 'package.json'), '{"name":"made","dependencies":{"absent":"file:absent.tgz"}}')
    const { said, ended } = start('start')
    expect((await ended).code).toBe(1)
    expect(said()).toMatch(/^Installing the packages failed: .+ \(all of it: .+\/npm\.log\)$/m)
    expect(said()).not.toMatch(/^\s+at /m)
  })

  it('says in one line that npm is missing', async () => {
    const { said, ended } = start('start', { PATH: '/nowhere' })
    expect((await ended).code).toBe(1)
    expect(said()).toContain('npm does not run here (ENOENT): install it')
  })

  it('answers an unknown command with the known ones', async () => {
    const { said, ended } = start('stat')
    expect((await ended).code).toBe(1)
    expect(said()).toMatch(/^usage: .*start\|api\|agent\|.*test\|/)
  })

  it('passes arguments on and the exit code back', async () => {
    installed('process.exitCode = Number(process.argv[2])', 'bench/main.ts')
    expect(await start('bench', {}, ['7']).ended).toEqual({ code: 7, signal: null })
  })

  it('ends by the signal that its child ended by', async () => {
    installed('process.kill(process.pid, "SIGUSR2"); setInterval(() => {}, 1000)')
    expect((await start('start').ended).signal).toBe('SIGUSR2')
  })

  it('gives Ctrl-C to the child once, though terminal and npm both send it', async () => {
    installed(`process.on('SIGINT', () => { console.log('interrupted'); setTimeout(() => process.exit(3), 100) })
      setInterval(() => {}, 1000); console.log('up')`)
    const { child, said, line, ended } = start('start')
    await line('up')
    child.kill('SIGINT')
    child.kill('SIGINT')
    expect((await ended).code).toBe(3)
    expect(said().match(/interrupted/g)).toHaveLength(1)
  })

  it('kills a child that does not end, and all that the child started', async () => {
    installed(`import { spawn } from 'node:child_process'
      process.on('SIGTERM', () => {})
      console.log('grandchild', spawn('sleep', ['600'], { stdio: 'ignore' }).pid, 'up')`)
    const { child, said, line, ended } = start('start')
    await line('up')
    const began = performance.now()
    child.kill('SIGTERM')
    expect((await ended).signal).toBe('SIGKILL')
    expect(performance.now() - began).toBeLessThan(6000)
    expect(alive(Number(/grandchild (\d+)/.exec(said())![1]))).toBe(false)
  })

  it('does not leave its child behind when it is killed outright', async () => {
    installed('setInterval(() => {}, 1000); console.log("child", process.pid, "up")')
    const { child, said, line } = start('start')
    await line('up')
    child.kill('SIGKILL')
    const pid = Number(/child (\d+)/.exec(said())![1])
    await vi.waitFor(() => expect(alive(pid)).toBe(false), { timeout: 30_000, interval: 20 })
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)('ends all of it when npm alone gets %s', async signal => {
    installed('setInterval(() => {}, 1000); console.log("child", process.pid, "up")')
    const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'made', type: 'module', scripts }))
    const npm = spawn('npm', ['start'], {
      cwd: root,
      env: { ...process.env, DATA_DIR: join(root, 'data') },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let said = ''
    npm.stdout.setEncoding('utf8').on('data', chunk => (said += chunk))
    await vi.waitFor(() => expect(said).toMatch(/child \d+ up/), { timeout: 20_000, interval: 10 })
    npm.kill(signal)
    const pid = Number(/child (\d+)/.exec(said)![1])
    await vi.waitFor(() => expect(alive(pid)).toBe(false), { timeout: 30_000, interval: 20 })
  })

  it('shows the line that the child gives for people', async () => {
    installed(`process.send?.({ type: 'fatal', message: 'Port 8080 is taken' }, () => process.exit(1))`)
    const { said, ended } = start('start')
    expect((await ended).code).toBe(1)
    expect(said()).toBe('Port 8080 is taken\n')
  })
})
