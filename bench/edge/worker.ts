/** The Worker itself: size, cold start, and what requests and streams cost workerd (its whole process; database and clients apart). */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { WebSocket } from 'ws'
import { openDatabase } from '#db/client.ts'
import { startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { migrate } from '#db/migrate.ts'
import { bootstrap } from '../../api/node/bootstrap.ts'
import { sha256 } from '../../api/node/platform.ts'
import { surroundings } from '../../api/testing/platform-api.ts'
import { echoing, ServingAgent } from '../../api/testing/serving-agent.ts'
import { bundleWorker } from '../../setup/edge/worker-bundle.ts'
import { startWorkerd } from '../../setup/edge/workerd.ts'
import { freePort } from '../../setup/port.ts'
import { ownWorkerd, usageOf } from './process-cpu.ts'

export interface WorkerFigures {
  bundleBytes: number
  gzipBytes: number
  /** CPU of an isolate's first request beyond a later one's: the app is made with it. */
  coldStartCpuMs: number
  coldStartMs: number
  cpuMsPerRequest: Record<string, number>
  cpuMsPerStreamMinute: { idle: number; screen: number }
  cpuMsPerIdleLinkMinute: number
  rssMb: number
}

const requests = 300
const streams = 20
/** A screen in use: so many updates a second of so many bytes. */
const screen = { perSecond: 10, bytes: 16 * 1024 }

export async function benchWorker(root: string, seconds: number, say: (line: string) => void): Promise<WorkerFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-bench-'))
  const undo: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })]
  try {
    const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), durable: false })
    undo.push(() => postgres.stop())
    await migrate(postgres.url)
    const { db, close } = openDatabase(postgres.url, { max: 2, applicationName: 'bench' })
    undo.push(close)
    const { token: admin } = await bootstrap({ db, dataDir: folder, sha256 })
    const bundle = await bundleWorker(root, true)
    const gzipBytes = gzipSync(bundle, { level: 9 }).length
    say(`bundle: ${kib(bundle.length)} KiB, gzipped ${kib(gzipBytes)} KiB`)

    const port = await freePort('127.0.0.1')
    const url = `http://127.0.0.1:${port}`
    const vars = { PUBLIC_URL: url, SECRETS_KEY: 'bench '.repeat(8) }
    const workerd = await startWorkerd({ root, databaseUrl: postgres.url, host: '127.0.0.1', port, vars, log: () => {} })
    undo.push(() => workerd.stop())
    const pid = ownWorkerd()
    const ask = async (path: string) => {
      const answer = await fetch(url + path, { headers: { authorization: `Bearer ${admin}` } })
      await answer.arrayBuffer()
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
    }
    const cpuOf = async (work: () => Promise<unknown>) => {
      const before = usageOf(pid).cpu
      await work()
      return (usageOf(pid).cpu - before) * 1000
    }

    const began = performance.now()
    const coldStartCpuMs = await cpuOf(() => ask('/health'))
    const coldStartMs = performance.now() - began
    say(`cold start: first request ${coldStartMs.toFixed(0)} ms, ${coldStartCpuMs.toFixed(0)} ms CPU`)

    const cpuMsPerRequest: Record<string, number> = {}
    for (const path of ['/health', '/v1/me', '/v1/sessions']) {
      for (let i = 0; i < 30; i++) await ask(path)
      const total = await cpuOf(async () => {
        for (let i = 0; i < requests; i++) await ask(path)
      })
      cpuMsPerRequest[path] = total / requests
      say(`request ${path}: ${(total / requests).toFixed(2)} ms CPU`)
    }

    const api = surroundings({ url, db, admin })
    const agent = await ServingAgent.of(await api.agent())
    const session = await api.session(agent.agent.cluster)
    const minutes = seconds / 60
    const pause = () => new Promise(over => setTimeout(over, seconds * 1000))
    const cpuMsPerIdleLinkMinute = (await cpuOf(pause)) / minutes
    agent.serve(echoing)
    const viewers: WebSocket[] = []
    for (let i = 0; i < streams; i++) viewers.push(await api.viewer(`/v1/sessions/${session}/cdp`).open)
    const idle = ((await cpuOf(pause)) / minutes - cpuMsPerIdleLinkMinute) / streams
    const part = Buffer.alloc(screen.bytes)
    const used = await cpuOf(async () => {
      const drawing = setInterval(() => {
        for (const ws of agent.sockets.values()) ws.send(part)
      }, 1000 / screen.perSecond)
      await pause()
      clearInterval(drawing)
    })
    const drawn = (used / minutes - cpuMsPerIdleLinkMinute) / streams
    for (const ws of viewers) ws.close()
    say(
      `stream-minute: idle ${idle.toFixed(1)} ms CPU, a screen of ${screen.perSecond} x ${screen.bytes / 1024} KiB a second ${drawn.toFixed(1)} ms CPU; idle link and keeper ${cpuMsPerIdleLinkMinute.toFixed(0)} ms CPU a minute`,
    )
    agent.link.ws.terminate()
    return {
      bundleBytes: bundle.length,
      gzipBytes,
      coldStartCpuMs,
      coldStartMs,
      cpuMsPerRequest,
      cpuMsPerStreamMinute: { idle, screen: drawn },
      cpuMsPerIdleLinkMinute,
      rssMb: usageOf(pid).rss / 1e6,
    }
  } finally {
    for (const step of undo.reverse()) await step()
  }
}

const kib = (bytes: number) => Math.round(bytes / 1024)
