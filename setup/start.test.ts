import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'

const root = join(import.meta.dirname, '..')
const dataDir = mkdtempSync(join(tmpdir(), 'start-'))
/** What sessions show inside their walls comes from here, so that also those can be told apart. */
const temporary = join(dataDir, 't')
mkdirSync(temporary)

interface Running {
  child: ChildProcessByStdio<null, Readable, Readable>
  said(): string
  /** Waits for both lines of a start. */
  up(): Promise<{ url: string; token: string }>
  ended: Promise<number | null>
}

/** Whatever was started with our DATA_DIR, serves a database in it, or has walls made of it. */
function processes(): { pid: number; line: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
        return line !== '' && (environment + line + mounts).includes(dataDir) ? [{ pid: Number(pid), line }] : []
      } catch {
        return []
      }
    })
}
const part = (entry: string) =>
  processes().find(({ line }) => line.includes(` ${join(root, entry)}`) || line.includes(`/${entry} `))?.pid

describe('npm start', { timeout: 120_000 }, () => {
  const running: Running[] = []
  function start(env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [join(root, 'setup/run.mjs'), 'start'], {
      env: { ...process.env, PORT: '0', DATA_DIR: dataDir, TMPDIR: temporary, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (text += chunk))
    const ended = once(child, 'close').then(([code]) => code as number | null)
    const lines = /^Porthole (http:\S+)\nToken (vnc-sk-\S+)$/m
    const up = async () => {
      await vi.waitFor(() => expect(text).toMatch(lines), { timeout: 60_000, interval: 20 })
      const [, url, token] = lines.exec(text)!
      return { url: url!, token: token! }
    }
    const one = { child, said: () => text, up, ended }
    running.push(one)
    return one
  }
  const me = (url: string, token: string) =>
    fetch(`${url}/v1/me`, { headers: { authorization: `Bearer ${token}` } }).then(answer => answer.status)

  afterEach(async () => {
    for (const { child, ended } of running.splice(0)) {
      child.kill('SIGINT')
      await ended
    }
    await vi.waitFor(() => expect(processes()).toEqual([]), { timeout: 30_000, interval: 50 })
  })
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  it('ends in the two lines, keeps the token to its owner, and finds everything again', async () => {
    const first = start()
    const { url, token } = await first.up()
    expect(await me(url, token)).toBe(200)
    expect(statSync(join(dataDir, 'admin-token')).mode & 0o777).toBe(0o600)
    first.child.kill('SIGINT')
    expect(await first.ended).toBe(0)
    const again = await start().up()
    expect(again.token).toBe(token)
    expect(await me(again.url, again.token)).toBe(200)
  })

  it('is refused a second time on one DATA_DIR, in one line', async () => {
    await start().up()
    const second = start()
    expect(await second.ended).toBe(1)
    expect(second.said()).toMatch(/^.+ is in use by another Porthole \(process \d+\).*\n$/)
  })

  it('says in one line that the port is taken', async () => {
    const { url } = await start().up()
    const other = mkdtempSync(join(tmpdir(), 'start-'))
    try {
      const second = start({ PORT: new URL(url).port, DATA_DIR: other })
      expect(await second.ended).toBe(1)
      expect(second.said()).toMatch(/^Port \d+ on 127\.0\.0\.1 is taken[^\n]*\n$/)
    } finally {
      rmSync(other, { recursive: true, force: true })
    }
  })

  it('brings the API and the database back when they are killed, at the same address', async () => {
    const { url, token } = await start().up()
    const agent = part('agent/main.ts')
    expect(agent).toBeDefined()
    process.kill(part('api/node/main.ts')!, 'SIGKILL')
    await vi.waitFor(async () => expect(await me(url, token).catch(() => 0)).toBe(200), { timeout: 20_000, interval: 50 })
    process.kill(part('bin/postgres')!, 'SIGKILL')
    await vi.waitFor(async () => expect(await me(url, token).catch(() => 0)).toBe(200), { timeout: 30_000, interval: 50 })
    expect(part('agent/main.ts')).toBe(agent)
  })

  it('leaves nothing running when its supervisor is killed outright', async () => {
    await start().up()
    process.kill(part('setup/start.ts')!, 'SIGKILL')
    await vi.waitFor(() => expect(processes()).toEqual([]), { timeout: 30_000, interval: 50 })
  })

  it('ends within five seconds of Ctrl-C, also in the middle of its start', async () => {
    for (const awaited of [/Porthole http/, null]) {
      const { child, said, ended } = start()
      if (awaited) await vi.waitFor(() => expect(said()).toMatch(awaited), { timeout: 60_000, interval: 20 })
      else await vi.waitFor(() => expect(part('setup/start.ts')).toBeDefined(), { timeout: 20_000, interval: 5 })
      const began = performance.now()
      child.kill('SIGINT')
      await ended
      expect(performance.now() - began).toBeLessThan(5500)
      await vi.waitFor(() => expect(processes()).toEqual([]), { timeout: 30_000, interval: 20 })
    }
  })
})
