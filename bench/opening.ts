/**
 * How long a viewer waits for the first byte of a session when viewer and agent are far from the API: everything that is asked one after the other shows as
 * round trips.
 */
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { delayedWay } from './delayed-way.ts'
import { type Figure, interleaved, median, noiseOf } from './figures.ts'
import type { Options } from './options.ts'
import { openStage, type Stage } from './stage.ts'

const suite = 'opening'
/** One way, of each of the two networks: viewer to API, agent to API. */
const delayMs = 25

export async function openingSuite({ rounds, say }: Options): Promise<Figure[]> {
  const stage = await openStage({ agentMs: delayMs })
  const viewers = await delayedWay(Number(new URL(stage.url).port), delayMs)
  const far = `http://127.0.0.1:${viewers.port}`
  try {
    say(`opening: networks of ${delayMs} ms each way`)
    const found = await interleaved(rounds, {
      trip: () => several(() => roundTrip(stage, far)),
      whole: () => several(() => firstByte(stage, far)),
      near: () => several(() => firstByte(stage, stage.url)),
      nearTrip: () => several(() => roundTrip(stage, stage.url)),
    })
    const row = (name: string, way: 'whole' | 'near', trip: 'trip' | 'nearTrip', what: string): Figure => ({
      ...{ suite, name, unit: 'ms', value: median(found[way]), noise: noiseOf(found[way]) },
      peer: { name: `2.5 round trips ${what}, and 10 ms`, value: 2.5 * median(found[trip]) + 10 },
      target: { is: 'at most', than: 1 },
    })
    return [
      row('dial to first byte, viewer and agent far', 'whole', 'trip', 'viewer to session'),
      row('dial to first byte, agent far', 'near', 'nearTrip', 'API to session'),
    ]
  } finally {
    await viewers.close()
    await stage.close()
  }
}

async function several(once: () => Promise<number>): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < 10; n++) times.push(await once())
  return median(times)
}

/** From the viewer's dial, its connection included, to what a session that speaks first says. */
async function firstByte(stage: Stage, origin: string): Promise<number> {
  const began = performance.now()
  const ws = new WebSocket(`${origin.replace('http', 'ws')}/v1/sessions/${stage.session}/ports/${stage.greeterPort}`, {
    ...{ perMessageDeflate: false, headers: { authorization: `Bearer ${stage.token}` } },
  })
  await once(ws, 'message')
  const took = performance.now() - began
  ws.terminate()
  return took
}

async function roundTrip(stage: Stage, origin: string): Promise<number> {
  const ws = await stage.stream(stage.targetPort, origin)
  ws.send('echo\nx')
  await once(ws, 'message')
  const began = performance.now()
  ws.send('x')
  await once(ws, 'message')
  const took = performance.now() - began
  ws.terminate()
  return took
}
