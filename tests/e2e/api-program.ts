/** `npm run api` as a user types it, listening where pods of a cluster reach it too. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Answer } from './installation.ts'

const root = resolve(import.meta.dirname, '../..')

export interface ApiProgram {
  /** For this machine. */
  url: string
  /** For the cluster. */
  outsideUrl: string
  token: string
  headers: { Authorization: string }
  api(method: string, path: string, body?: unknown, headers?: Record<string, string>, url?: string): Promise<Answer>
  /** Polls until `until` holds; fails after `seconds`, telling the last answer. */
  /** Makes a template; one of that id that a test's first try left is taken away before. */
  template(template: { id: string }): Promise<void>
  // biome-ignore lint/suspicious/noExplicitAny: objects of every shape
  eventually(path: string, until: (body: any) => boolean, seconds?: number): Promise<any>
  stop(): Promise<void>
}

/** `outsideHost`: this machine's address as pods know it. */
export async function startApiProgram(outsideHost: string, env: Record<string, string> = {}): Promise<ApiProgram> {
  const dataDir = mkdtempSync(join(tmpdir(), 'porthole-e2e-api-'))
  const child = spawn(process.execPath, [join(root, 'setup/api.ts')], {
    cwd: root,
    env: { ...process.env, PORT: '0', HOST: '0.0.0.0', DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const port = await new Promise<string>((fulfil, fail) => {
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', chunk => {
        said += chunk
        const found = /API http:\/\/\S+:(\d+)/.exec(said)?.[1]
        if (found) fulfil(found)
      })
    child.once('exit', code => fail(new Error(`npm run api ended with ${code}:\n${said}`)))
  })
  const url = `http://127.0.0.1:${port}`
  const outsideUrl = `http://${outsideHost}:${port}`
  const token = readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()
  const headers = { Authorization: `Bearer ${token}` }

  const api: ApiProgram['api'] = async (method, path, body, more = {}, at = url) => {
    const response = await fetch(at + path, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json')
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text }
  }
  return {
    url,
    outsideUrl,
    token,
    headers,
    api,
    async template(template) {
      await api('DELETE', `/v1/templates/${template.id}`)
      const { status, body } = await api('POST', '/v1/templates', template)
      if (status !== 201) throw new Error(`no template ${template.id}: ${JSON.stringify(body)}`)
    },
    async eventually(path, until, seconds = 240) {
      const last = performance.now() + seconds * 1000
      for (;;) {
        const { body } = await api('GET', path)
        if (until(body)) return body
        if (performance.now() > last) throw new Error(`${path} did not get there: ${JSON.stringify(body)}`)
        await new Promise(done => setTimeout(done, 200))
      }
    },
    async stop() {
      child.kill('SIGINT')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
