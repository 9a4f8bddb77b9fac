/**
 * Two clusters of one API: one with its agent inside as a pod, one whose agent is a program on this machine with a kubeconfig, which reaches pods by
 * port-forward. Where sessions go, what they are told when there is no room, and what cordon, drain and a killed agent do.
 */
import { KubeConfig } from '@kubernetes/client-node'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setValue, type Values } from '../../deploy/chart.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'
import { type OutsideAgent, outsideAgent } from './outside-agent.ts'

let porthole: ApiProgram
const places: Record<'inside' | 'outside', SessionsNamespace> = {} as never
const clusters: Record<'inside' | 'outside', string> = {} as never
let outside: OutsideAgent

beforeAll(async () => {
  const config = new KubeConfig()
  config.loadFromFile(process.env.KUBECONFIG!)
  porthole = await startApiProgram(process.env.PORTHOLE_TEST_HOST ?? new URL(config.getCurrentCluster()!.server).hostname)
  const one = { policy: { maxSessions: 1 } }
  for (const [name, zone] of [
    ['inside', 'a'],
    ['outside', 'b'],
  ] as const) {
    const { body } = await porthole.api('POST', '/v1/clusters', { name, labels: { zone } }, {}, porthole.outsideUrl)
    clusters[name] = body.id
    let values: Values = one
    for (const [, assignment] of body.enrollment.command.matchAll(/ --set (\S+)/g)) values = setValue(values, assignment)
    places[name] = await sessionsNamespace(name === 'inside' ? { ...values, network: { dial: 'auto' } } : values)
    if (name === 'inside') await places.inside.deploy()
    else outside = outsideAgent(places.outside, porthole.url, body.enrollment.token)
  }
  outside.start()
  for (const id of Object.values(clusters)) await porthole.eventually(`/v1/clusters/${id}`, found => found.connected, 300)
})

afterAll(async () => {
  await outside?.dispose()
  for (const place of Object.values(places)) await place.dispose()
  await porthole?.stop()
})

const headless = { template: 'chromium', headless: true, start_timeout_seconds: 300 }
const at = (id: string) => `/v1/sessions/${id}`
async function running(body: object = {}) {
  const made = await porthole.api('POST', '/v1/sessions', { ...headless, ...body })
  return await porthole.eventually(at(made.body.id), found => ['running', 'failed'].includes(found.status), 300)
}

it('a session by selector, another to where there is room, a third waits with numbers; cordon, drain, and an agent killed in between', async () => {
  const first = await running({ selector: { zone: 'b' } })
  expect(first).toMatchObject({ status: 'running', cluster: clusters.outside, pod: { namespace: places.outside.sessions } })
  const browser = await chromium.connectOverCDP(first.urls.cdp, { headers: porthole.headers })
  const page = browser.contexts()[0]!.pages()[0]!
  await page.goto('data:text/html,<title>through the API server</title>')
  expect(await page.title()).toBe('through the API server')
  const big = 4_000_000
  expect(await page.evaluate(n => 'x'.repeat(n).length, big)).toBe(big)
  expect(await page.evaluate(n => 'x'.repeat(n), big)).toHaveLength(big)
  await browser.close()

  const second = await running()
  expect(second).toMatchObject({ status: 'running', cluster: clusters.inside })
  const third = (await porthole.api('POST', '/v1/sessions', headless)).body
  const full = 'Waiting for room: inside 1 of 1 sessions; outside 1 of 1 sessions.'
  expect((await porthole.api('GET', at(third.id))).body).toMatchObject({ status: 'queued', queue: { reason: full } })

  // What no change of load could satisfy is said at once.
  const never = await porthole.api('POST', '/v1/sessions', { ...headless, resources: { memory: '900Gi' } })
  expect([never.status, never.body.code]).toEqual([409, 'conflict'])
  expect(never.body.detail).toMatch(
    /No cluster can serve this: inside has \d+ Mi of the 921600 Mi of memory it needs; outside has/,
  )
  const nowhere = await porthole.api('POST', '/v1/sessions', { ...headless, selector: { zone: 'z' } })
  expect([nowhere.status, nowhere.body.detail]).toEqual([409, 'There is no cluster with the labels zone=z.'])

  // The outside agent dies; its session does not, and its next life finds it.
  await outside.kill()
  await porthole.eventually(`/v1/clusters/${clusters.outside}`, found => !found.connected, 120)
  outside.start()
  await porthole.eventually(`/v1/clusters/${clusters.outside}`, found => found.connected, 300)
  const again = await porthole.eventually(at(first.id), found => found.status === 'running')
  expect([again.pod.name, again.generation]).toEqual([first.pod.name, 1])

  // Cordoned: room there is not room for new ones.
  await porthole.api('POST', `/v1/clusters/${clusters.inside}/drain`, { cordon: true })
  await porthole.api('DELETE', at(second.id))
  await places.inside.untilGone()
  const waiting = await porthole.eventually(at(third.id), found => /cordoned/.test(found.queue?.reason ?? ''))
  expect(waiting.queue.reason).toBe('Waiting for room: inside cordoned; outside 1 of 1 sessions.')
  await porthole.api('POST', `/v1/clusters/${clusters.inside}/drain`, { cordon: false })
  await porthole.eventually(at(third.id), found => found.status === 'running' && found.cluster === clusters.inside)

  // Drained: what runs there ends, and says why.
  await porthole.api('POST', `/v1/clusters/${clusters.outside}/drain`, { drain: true })
  const drained = await porthole.eventually(at(first.id), found => !['running', 'stopping'].includes(found.status))
  expect([drained.status, drained.termination_reason]).toEqual(['stopped', 'drained'])
  await porthole.api('DELETE', at(third.id))
  await porthole.api('DELETE', at(first.id))
  await places.inside.untilGone()
  await places.outside.untilGone()
}, 1_500_000)
