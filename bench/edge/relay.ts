/** CPU of workerd per GB: sockets joined natively against one JavaScript call a message, in one run, in turns. */

import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { WebSocket } from 'ws'
import { ownWorkerd, usageOf } from './process-cpu.ts'

export interface RelayFigures {
  messageBytes: number
  nativeCpuPerGb: number
  perMessageCpuPerGb: number
  ratio: number
}

const rounds = 3

export async function benchRelay(root: string, gigabytes: number, say: (line: string) => void): Promise<RelayFigures[]> {
  const { outputFiles } = await build({
    entryPoints: ['bench/edge/relay-worker.ts'],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    conditions: ['workerd', 'worker'],
    external: ['cloudflare:*'],
  })
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      workers: [
        {
          name: 'relay',
          modules: [{ type: 'ESModule', path: 'relay.mjs', contents: outputFiles[0]!.text }],
          compatibilityDate: '2026-10-01',
          durableObjects: { native: 'Native', message: 'PerMessage' },
        },
      ],
    }),
  )
  try {
    const origin = (await miniflare.ready).origin.replace(/^http/, 'ws')
    const pid = ownWorkerd()
    const figures: RelayFigures[] = []
    for (const messageBytes of [128 * 1024, 64 * 1024, 16 * 1024, 4 * 1024]) {
      const share = messageBytes < 16 * 1024 ? 0.25 : 1
      const bytes = (gigabytes * share * 1e9) / rounds
      const cpu = { native: [] as number[], message: [] as number[] }
      await carry(origin, 'native', messageBytes, bytes / 10)
      await carry(origin, 'message', messageBytes, bytes / 10)
      for (let round = 0; round < rounds; round++) {
        for (const kind of ['native', 'message'] as const) {
          const before = usageOf(pid).cpu
          await carry(origin, kind, messageBytes, bytes)
          cpu[kind].push(((usageOf(pid).cpu - before) * 1e9) / bytes)
        }
      }
      const [nativeCpuPerGb, perMessageCpuPerGb] = [median(cpu.native), median(cpu.message)]
      const ratio = nativeCpuPerGb / perMessageCpuPerGb
      figures.push({ messageBytes, nativeCpuPerGb, perMessageCpuPerGb, ratio })
      say(
        `relay, ${messageBytes / 1024} KiB messages: joined ${nativeCpuPerGb.toFixed(2)}, per message ${perMessageCpuPerGb.toFixed(2)} CPU s/GB, ratio ${ratio.toFixed(2)}`,
      )
    }
    return figures
  } finally {
    await miniflare.dispose()
  }
}

let streams = 0

/** One stream that carries so many bytes to a viewer that takes all of them. */
async function carry(origin: string, kind: 'native' | 'message', messageBytes: number, bytes: number): Promise<void> {
  const id = `s${++streams}`
  const options = { perMessageDeflate: false, generateMask: (mask: Buffer) => void mask.fill(0) }
  const dial = (side: string) => new WebSocket(`${origin}/${kind}/${id}/${side}`, options as never)
  const [viewer, agent] = [dial('viewer'), dial('agent')]
  const all = Promise.withResolvers<void>()
  let got = 0
  viewer.on('message', data => {
    got += (data as Buffer).length
    if (got >= bytes) all.resolve()
  })
  for (const ws of [viewer, agent]) ws.on('error', all.reject)
  await Promise.all([viewer, agent].map(ws => new Promise(open => ws.once('open', open))))
  const part = Buffer.alloc(messageBytes, 7)
  for (let sent = 0; sent < bytes; sent += part.length) {
    const taken = new Promise<void>(resolve => agent.send(part, () => resolve()))
    // The per-message relay has no back-pressure: what it is not spared would be memory, not CPU.
    if (agent.bufferedAmount > 1024 * 1024 || sent - got > 8 * 1024 * 1024) await taken
    while (sent - got > 8 * 1024 * 1024) await new Promise(turn => setTimeout(turn, 1))
  }
  await all.promise
  agent.close()
  viewer.close()
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
