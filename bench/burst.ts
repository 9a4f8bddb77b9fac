/** 100 creates at once against 5 warm sessions and room for 10: how long each waits for its answer, who gets what, and that none is lost. */
import { type Figure, median, quantile } from './figures.ts'
import type { Options } from './options.ts'
import { openStage } from './stage.ts'

const suite = 'burst'

export async function burstSuite({ say }: Options): Promise<Figure[]> {
  const stage = await openStage({ startMs: 300, places: 11 })
  try {
    const pool = await stage.call('POST', '/v1/pools', { template: 'bench', cluster: 'bench', size: 5, idle_size: 5 })
    if (pool.status !== 201) throw new Error(JSON.stringify(pool.body))
    say('burst: waiting for 5 warm ones')
    while ((await stage.call('GET', `/v1/pools/${pool.body.id}`)).body.ready < 5) await new Promise(done => setTimeout(done, 200))
    const times: number[] = []
    const made = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const began = performance.now()
        const answer = await stage.call('POST', '/v1/sessions', { template: 'bench' })
        times.push(performance.now() - began)
        return answer
      }),
    )
    const count = (status: string) => made.filter(each => each.body.status === status).length
    say(`burst: ${count('running')} running, ${count('starting')} starting, ${count('queued')} queued`)

    // The queue is served in the order of its positions as places become free.
    const queued = made
      .filter(each => each.body.status === 'queued')
      .sort((a, b) => (a.body.created_at < b.body.created_at ? -1 : 1))
      .map(each => each.body.id as string)
    const live = made.filter(each => each.body.status !== 'queued').map(each => each.body.id as string)
    const served: string[] = []
    let outOfTurn = 0
    while (served.length < queued.length) {
      for (const id of live.splice(0)) await stage.call('DELETE', `/v1/sessions/${id}`)
      const page = (await stage.call('GET', '/v1/sessions?status=starting,running&limit=100')).body.data as { id: string }[]
      const fresh = page.map(each => each.id).filter(id => queued.includes(id) && !served.includes(id))
      for (const id of fresh) {
        const place = queued.indexOf(id)
        if (place > served.length + 11) outOfTurn++
        served.push(id)
        live.push(id)
      }
      await new Promise(done => setTimeout(done, 100))
    }
    for (const id of live) await stage.call('DELETE', `/v1/sessions/${id}`)
    return [
      { suite, name: 'answer of 100 creates at once, p50', unit: 'ms', value: median(times), peer: null },
      { suite, name: 'answer, slowest', unit: 'ms', value: quantile(times, 1), peer: null },
      { suite, name: 'running at once', unit: 'of 5', value: count('running'), peer: null, target: { is: 'at least', than: 5 } },
      {
        suite,
        name: 'answered and served',
        unit: 'of 100',
        value: 100 - queued.length + served.length,
        peer: null,
        target: { is: 'at least', than: 100 },
      },
      { suite, name: 'served far out of turn', unit: '', value: outOfTurn, peer: null, target: { is: 'at most', than: 0 } },
    ]
  } finally {
    await stage.close()
  }
}
