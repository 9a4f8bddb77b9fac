/** An agent outside of its cluster: `PORTHOLE_RUNTIME=kubernetes KUBECONFIG=… npm run agent`, with the rights of the chart's ServiceAccount and no more. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { SessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'

export interface OutsideAgent {
  /** Begins a life of it, over the state of those before. */
  start(): void
  /** kill -9. */
  kill(): Promise<void>
  dispose(): Promise<void>
}

export function outsideAgent(place: SessionsNamespace, url: string, joinToken: string): OutsideAgent {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-outside-'))
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, place.config.exportConfig(), { mode: 0o600 })
  let program: ChildProcess | null = null
  const end = async (signal: NodeJS.Signals) => {
    const ending = program
    program = null
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return
    ending.kill(signal)
    await once(ending, 'exit')
  }
  return {
    start() {
      program = spawn(process.execPath, [resolve(import.meta.dirname, '../../agent/main.ts')], {
        env: {
          PATH: process.env.PATH,
          ...place.environment,
          PORTHOLE_URL: url,
          PORTHOLE_JOIN_TOKEN: joinToken,
          DATA_DIR: folder,
          KUBECONFIG: kubeconfig,
        },
        stdio: ['ignore', 'ignore', 'inherit'],
      })
    },
    kill: () => end('SIGKILL'),
    async dispose() {
      await end('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
