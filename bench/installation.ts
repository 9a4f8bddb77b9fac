/** `npm start` in a data folder of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

export interface Installation {
  url: string
  token: string
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  ): Promise<{ status: number; body: any }>
  until(holds: () => Promise<boolean>): Promise<void>
  stop(): Promise<void>
}

export async function openInstallation(env: Record<string, string> = {}): Promise<Installation> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-'))
  const child = spawn(process.execPath, [join(root, 'setup/start.ts')], {
    cwd: root,
    env: { ...process.env, PORT: '0', DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', chunk => (said = (said + chunk).slice(-4_000)))
  const { url, token } = await new Promise<{ url: string; token: string }>((fulfil, fail) => {
    let out = ''
    child.stdout.on('data', chunk => {
      out += chunk
      const address = /^Porthole (http\S+)$/m.exec(out)?.[1]
      const secret = /^Token (vnc-sk-\S+)$/m.exec(out)?.[1]
      if (address && secret) fulfil({ url: address, token: secret })
    })
    child.once('exit', code => fail(new Error(`npm start ended with ${code}: ${said}`)))
  })
  return {
    url,
    token,
    async call(method, path, body, headers = {}) {
      const answer = await fetch(url + path, {
        method,
        headers: {
          ...{ authorization: `Bearer ${token}`, ...headers },
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      return { status: answer.status, body: text === '' ? null : JSON.parse(text) }
    },
    async until(holds) {
      const last = performance.now() + 120_000
      while (!(await holds())) {
        if (performance.now() > last) throw new Error('it did not come to that in two minutes')
        await new Promise(done => setTimeout(done, 100))
      }
    },
    async stop() {
      child.kill('SIGINT')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
