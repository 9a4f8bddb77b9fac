/**
 * `npm start` as a user types it, in a data folder of its own: the real program, its real children, real browsers.
 *
 *   const porthole = await install()      // two lines printed
 *   await porthole.api('POST', '/v1/sessions', { template: 'chromium' })
 *   await porthole.stop()                 // Ctrl-C; fails when anything is left behind
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const root = resolve(import.meta.dirname, '../..')
const lastMs = 2_000

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  body: any
}

export interface Installation {
  url: string
  token: string
  dataDir: string
  headers: { Authorization: string }
  /** Milliseconds from launch to the second line. */
  startedIn: number
  api(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Creates a session and waits until it runs. */
  // biome-ignore lint/suspicious/noExplicitAny: a session
  session(body?: object): Promise<any>
  /** Polls until `until` holds; fails after `seconds`. */
  // biome-ignore lint/suspicious/noExplicitAny: a session
  eventually(id: string, until: (session: any) => boolean, seconds?: number): Promise<any>
  /** Pids of this installation's processes whose command line matches. */
  processes(pattern: RegExp): number[]
  signal(name: NodeJS.Signals): void
  /** Ctrl-C. `keep`: the data folder stays for a second start. Answers how long it took. */
  stop(options?: { keep?: boolean }): Promise<{ ms: number; code: number | null; left: string[] }>
}

export interface InstallOptions {
  dataDir?: string
  env?: Record<string, string>
  /** `setup/dev-edge.ts`: the API in workerd; absent: `npm start`. */
  program?: string
}

export async function install(options: InstallOptions = {}): Promise<Installation> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'porthole-e2e-'))
  const began = performance.now()
  const child = spawn(process.execPath, [join(root, options.program ?? 'setup/start.ts')], {
    cwd: root,
    env: { ...process.env, PORT: '0', DATA_DIR: dataDir, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { url, token } = await twoLines(child)
  const startedIn = performance.now() - began
  const headers = { Authorization: `Bearer ${token}` }

  const api: Installation['api'] = async (method, path, body, more = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text }
  }

  const eventually: Installation['eventually'] = async (id, until, seconds = 60) => {
    const last = performance.now() + seconds * 1000
    for (;;) {
      const { body } = await api('GET', `/v1/sessions/${id}`)
      if (until(body)) return body
      if (performance.now() > last) throw new Error(`${id} did not get there: ${JSON.stringify(body)}`)
      await new Promise(done => setTimeout(done, 100))
    }
  }

  return {
    url,
    token,
    dataDir,
    headers,
    startedIn,
    api,
    eventually,
    async session(body = {}) {
      const made = await api('POST', '/v1/sessions', { template: 'chromium', ...body }, { prefer: 'wait=60' })
      if (made.body.status !== 'running') throw new Error(`not running: ${JSON.stringify(made.body)}`)
      return made.body
    },
    processes: pattern => family(child.pid!).filter(pid => pattern.test(commandLine(pid))),
    signal: name => void child.kill(name),
    async stop({ keep = false } = {}) {
      const mine = family(child.pid!)
      const start = performance.now()
      child.kill('SIGINT')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      const ms = performance.now() - start
      const lives = () => mine.filter(pid => alive(pid))
      // What is just ending still has its number for a moment.
      for (const until = performance.now() + lastMs; lives().length > 0 && performance.now() < until; ) await delay(20)
      const left = lives().map(pid => `${pid} ${commandLine(pid)}`)
      if (!keep) rmSync(dataDir, { recursive: true, force: true })
      return { ms, code: child.exitCode, left }
    },
  }
}

function twoLines(child: ChildProcess): Promise<{ url: string; token: string }> {
  return new Promise((fulfil, fail) => {
    let out = ''
    let all = ''
    child.stderr!.on('data', chunk => (all += chunk))
    child.stdout!.on('data', chunk => {
      out += chunk
      all += chunk
      const url = /^Porthole (http\S+)$/m.exec(out)?.[1]
      const token = /^Token (vnc-sk-\S+)$/m.exec(out)?.[1]
      if (url && token) fulfil({ url, token })
    })
    child.once('exit', code => fail(new Error(`npm start ended with ${code}:\n${all}`)))
  })
}

/** A process and all that descend from it, the way the kernel sees them now. */
export function family(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(Number(name))
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found = [root]
  for (let at = 0; at < found.length; at++) found.push(...(children.get(found[at]!) ?? []))
  return found
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return null
  }
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^\d+ \(.*\) [ZX]/s.test(stat)
  } catch {
    return false
  }
}
