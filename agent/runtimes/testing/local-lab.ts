/** A local runtime over a data folder of its own, and specs it can run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SessionSpec } from '#protocol/session-spec.ts'
import { createLocalRuntime, type LocalRuntimeOptions } from '../local/local-runtime.ts'
import type { RuntimeLab } from '../runtime-conformance.ts'

export interface LocalLab extends RuntimeLab {
  dataDir: string
}

export async function localLab(options: Omit<LocalRuntimeOptions, 'dataDir'> = {}): Promise<LocalLab> {
  // As in a home folder: nobody else may pass.
  const dataDir = await mkdtemp(join(tmpdir(), 'lab-'))
  let runtime = await createLocalRuntime({ dataDir, ...options })
  return {
    dataDir,
    runtime,
    async nextLife() {
      await runtime.close()
      runtime = await createLocalRuntime({ dataDir, ...options })
      return runtime
    },
    async dispose() {
      await runtime.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

export function localSpec(part: Partial<SessionSpec> = {}): SessionSpec {
  return SessionSpec.parse({
    kind: 'browser',
    template: 'chromium',
    project: 'prj_lab',
    user: 'tester',
    name: null,
    headless: false,
    display: { width: 1024, height: 700 },
    start_url_wait: 'load',
    env: {},
    labels: {},
    limits: {},
    requests: {},
    ports: [],
    restart: 'never',
    start_timeout_ms: 60_000,
    clipboard: 'both',
    egress: { mode: 'all', allow: [] },
    recording: false,
    ...part,
  })
}
