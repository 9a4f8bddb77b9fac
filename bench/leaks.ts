/** What stays when everything has ended: streams opened and cut in every phase, sessions made and deleted through a pool. */
import type postgres from 'postgres'
import { WebSocket } from 'ws'
import { connect } from '#db/driver/connect.ts'
import type { Figure } from './figures.ts'
import type { Options } from './options.ts'
import { openStage, type Stage } from './stage.ts'

const suite = 'leaks'

interface State {
  memory: NodeJS.MemoryUsage
  resources: number
}

export async function leakSuite({ scale, say }: Options): Promise<Figure[]> {
  const stage = await openStage({ places: 50 })
  const database = connect(stage.databaseUrl, { max: 2, onnotice: () => {} })
  try {
    const streams = Math.round(10_000 * scale)
    await cutStreams(stage, 500)
    await calm(database)
    const before = await stage.api.ask<State>({})
    const agentBefore = (await stage.agent.ask<State>({})).memory.heapUsed
    say(`leaks: ${streams} streams`)
    await cutStreams(stage, streams)
    await calm(database)
    const after = await stage.api.ask<State>({})
    const agentAfter = (await stage.agent.ask<State>({})).memory.heapUsed
    const [open] = await database`select count(*)::int as n from grants where closed_at is null`

    const sessions = Math.round(1_000 * scale)
    say(`leaks: ${sessions} sessions through a pool`)
    const pool = (await stage.call('POST', '/v1/pools', { template: 'bench', cluster: 'bench', size: 5, idle_size: 5 })).body.id
    let left = sessions
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        while (left-- > 0) {
          const made = await stage.call('POST', '/v1/sessions', { template: 'bench' })
          await stage.call('DELETE', `/v1/sessions/${made.body.id}`)
        }
      }),
    )
    const deleted = await stage.call('DELETE', `/v1/pools/${pool}`)
    if (deleted.status !== 204) throw new Error(`the pool is still there: ${JSON.stringify(deleted)}`)
    await stage.call('DELETE', `/v1/sessions/${stage.session}`)
    const rows = async () =>
      (await database`select (select count(*) from sessions)::int + (select count(*) from warm_sessions)::int as n`)[0]!
        .n as number
    for (let tries = 0; tries < 300 && (await rows()) > 0; tries++) await new Promise(done => setTimeout(done, 100))
    const { instances } = await stage.agent.ask<{ instances: number }>({})
    const per = (bytes: number) => Math.max(0, bytes) / streams
    return [
      {
        suite,
        name: `heap kept per stream, API, ${streams} cut`,
        unit: 'B',
        value: per(after.memory.heapUsed - before.memory.heapUsed),
        peer: null,
        target: { is: 'at most', than: 100 },
      },
      {
        suite,
        name: 'heap kept per stream, agent',
        unit: 'B',
        value: per(agentAfter - agentBefore),
        peer: null,
        target: { is: 'at most', than: 100 },
      },
      {
        suite,
        name: 'sockets and timers left in the API',
        unit: '',
        value: Math.max(0, after.resources - before.resources),
        peer: null,
        target: { is: 'at most', than: 5 },
      },
      { suite, name: 'grants left open', unit: '', value: Number(open!.n), peer: null, target: { is: 'at most', than: 0 } },
      {
        suite,
        name: `rows left of ${sessions} sessions`,
        unit: '',
        value: await rows(),
        peer: null,
        target: { is: 'at most', than: 0 },
      },
      { suite, name: 'instances left in the agent', unit: '', value: instances, peer: null, target: { is: 'at most', than: 0 } },
    ]
  } finally {
    await database.end({ timeout: 2 })
    await stage.close()
  }
}

/** Cut at once, after some milliseconds while the agent dials, when open, and while bytes flow. */
async function cutStreams(stage: Stage, count: number): Promise<void> {
  const url = `${stage.url.replace('http', 'ws')}/v1/sessions/${stage.session}/ports/${stage.targetPort}`
  const one = (n: number) =>
    new Promise<void>(done => {
      const ws = new WebSocket(url, { headers: { authorization: `Bearer ${stage.token}` }, perMessageDeflate: false })
      const end = () => {
        ws.terminate()
        done()
      }
      ws.on('error', () => done())
      ws.on('close', () => done())
      const phase = n % 4
      if (phase === 0) setImmediate(end)
      else if (phase === 1) setTimeout(end, n % 23)
      else if (phase === 2) ws.on('open', end)
      else
        ws.on('open', () => {
          ws.send('send 1000000\n')
          ws.on('message', end)
        })
    })
  let next = 0
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      while (next < count) await one(next++)
    }),
  )
}

/** Ends that are still being written down. */
async function calm(database: postgres.Sql): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const [row] = await database`select count(*)::int as n from grants where closed_at is null`
    if (row!.n === 0) break
    await new Promise(done => setTimeout(done, 100))
  }
  await new Promise(done => setTimeout(done, 2_000))
}
