/**
 * As a script feels it: create -> connect -> goto -> release, on `npm start`. Beside plain Playwright on the same machine: a browser launched for it (cold),
 * or one that runs already (warm), with no platform at all.
 */
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { type Figure, interleaved, median, noiseOf } from './figures.ts'
import { openInstallation } from './installation.ts'
import type { Options } from './options.ts'

const suite = 'lifecycle'
const page = 'data:text/html,<title>bench</title><h1>bench</h1>'
const programs = ['/usr/lib/chromium/chromium', '/usr/bin/chromium']

export async function lifecycleSuite({ rounds, scale, say }: Options): Promise<Figure[]> {
  const executablePath = programs.find(path => existsSync(path))
  if (!executablePath) throw new Error('Chromium is not installed')
  const launch = () =>
    chromium.launchServer({ executablePath, headless: true, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
  const porthole = await openInstallation({ WARM_POOL: '0' })
  const standing = await launch()
  const answers: number[] = []
  let tried = 0
  let failed = 0
  const use = async (endpoint: string, headers?: Record<string, string>) => {
    const browser = await chromium.connect(endpoint, headers ? { headers } : {})
    const context = browser.contexts()[0] ?? (await browser.newContext())
    const tab = context.pages()[0] ?? (await context.newPage())
    await tab.goto(page)
    await browser.close()
  }
  const through = async (body: object) => {
    tried++
    const began = performance.now()
    const made = await porthole.call('POST', '/v1/sessions', body, { prefer: 'wait=60' })
    const answered = performance.now() - began
    if (made.body.status !== 'running') {
      failed++
      throw new Error(`not running: ${JSON.stringify(made.body)}`)
    }
    await use(made.body.urls.playwright, { authorization: `Bearer ${porthole.token}` })
    const released = porthole.call('DELETE', `/v1/sessions/${made.body.id}`)
    const whole = performance.now() - began
    await released
    return { answered, whole }
  }
  const timed = async (work: () => Promise<void>) => {
    const began = performance.now()
    await work()
    return performance.now() - began
  }
  try {
    say('lifecycle: cold')
    const cold = await interleaved(rounds, {
      // Another memory than the pool's fits no warm one.
      porthole: async () => (await through({ template: 'chromium', headless: true })).whole,
      plain: () =>
        timed(async () => {
          const server = await launch()
          await use(server.wsEndpoint())
          await server.close()
        }),
    })
    say('lifecycle: warm')
    const pool = await porthole.call('POST', '/v1/pools', {
      ...{ template: 'chromium', cluster: 'local', size: 1, idle_size: 1, overrides: { headless: true } },
    })
    if (pool.status !== 201) throw new Error(`no pool: ${JSON.stringify(pool.body)}`)
    const warm = await interleaved(rounds, {
      porthole: async () => {
        await porthole.until(async () => (await porthole.call('GET', `/v1/pools/${pool.body.id}`)).body.ready > 0)
        // What refilled it should not be measured with it.
        await new Promise(done => setTimeout(done, 1_500))
        const { answered, whole } = await through({ template: 'chromium', headless: true })
        answers.push(answered)
        return whole
      },
      plain: () => timed(() => use(standing.wsEndpoint())),
    })
    const figures: Figure[] = [
      {
        ...{ suite, name: 'cold: create, connect, goto, release', unit: 'ms', value: median(cold.porthole) },
        peer: { name: 'plain launchServer', value: median(cold.plain) },
        noise: noiseOf(cold.porthole),
      },
      {
        ...{ suite, name: 'warm: the same', unit: 'ms', value: median(warm.porthole), noise: noiseOf(warm.porthole) },
        ...{ peer: { name: 'a plain browser that runs', value: median(warm.plain) }, target: { is: 'at most', than: 1.3 } },
      },
      {
        ...{ suite, name: 'warm create until `running`', unit: 'ms', value: median(answers), noise: noiseOf(answers) },
        ...{ peer: { name: 'the whole of a cold one', value: median(cold.porthole) }, target: { is: 'at most', than: 0.05 } },
      },
    ]
    await porthole.call('DELETE', `/v1/pools/${pool.body.id}`)
    const many = scale >= 1 ? 10 : 3
    say(`lifecycle: ${many} at once, cold`)
    const [all, plainAll] = [
      await timed(
        async () =>
          void (await Promise.all(Array.from({ length: many }, () => through({ template: 'chromium', headless: true })))),
      ),
      await timed(async () => {
        const one = async () => {
          const server = await launch()
          await use(server.wsEndpoint())
          await server.close()
        }
        await Promise.all(Array.from({ length: many }, one))
      }),
    ]
    figures.push(
      {
        suite,
        name: `${many} cold at once, until the last`,
        unit: 'ms',
        value: all,
        peer: { name: 'plain launchServer', value: plainAll },
      },
      {
        suite,
        name: 'success',
        unit: '%',
        value: (100 * (tried - failed)) / tried,
        peer: null,
        target: { is: 'at least', than: 100 },
      },
    )
    return figures
  } finally {
    await standing.close()
    await porthole.stop()
  }
}
