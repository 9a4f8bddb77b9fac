/**
 * A node that goes silent: what people are told and when, that a session whose node comes back is the same session, and that one whose node stays away
 * ends for people but is never replaced or declared gone. Takes the node of the whole cluster, and nine minutes, so it runs only when told how:
 *
 *   PORTHOLE_TEST_NODE_STOP   a shell command that silences the kubelet and leaves its pods alone: `kill -STOP <its pid>`; with kind `docker pause …`
 *   PORTHOLE_TEST_NODE_START  one that lets it go on: `kill -CONT <its pid>`
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type SessionsNamespace, sessionsNamespace } from '../../deploy/testing/sessions-namespace.ts'
import { type ApiProgram, startApiProgram } from './api-program.ts'
import { type OutsideAgent, outsideAgent } from './outside-agent.ts'

const commands = { stop: process.env.PORTHOLE_TEST_NODE_STOP ?? '', start: process.env.PORTHOLE_TEST_NODE_START ?? '' }
const told = commands.stop !== '' && commands.start !== ''
const node = (what: keyof typeof commands) => promisify(execFile)('/bin/sh', ['-c', commands[what]])

let porthole: ApiProgram
let place: SessionsNamespace
let agent: OutsideAgent

beforeEach(({ skip }) => {
  if (!told) skip('silences a node for minutes: PORTHOLE_TEST_NODE_STOP and PORTHOLE_TEST_NODE_START say how')
})
beforeAll(async () => {
  if (!told) return
  porthole = await startApiProgram('127.0.0.1')
  const { body } = await porthole.api('POST', '/v1/clusters', { name: 'real' })
  place = await sessionsNamespace()
  agent = outsideAgent(place, porthole.url, body.enrollment.token)
  agent.start()
  await porthole.eventually(`/v1/clusters/${body.id}`, found => found.connected, 300)
})
afterAll(async () => {
  if (!told) return
  await node('start')
  await agent?.dispose()
  await place?.dispose()
  await porthole?.stop()
})

const once = { timeout: 1_800_000, retry: 0 }
it('says that its node is not ready, is itself again when the node is, and fails when it stays away', once, async () => {
  const made = await porthole.api('POST', '/v1/sessions', { template: 'chromium', headless: true, start_timeout_seconds: 300 })
  const path = `/v1/sessions/${made.body.id}`
  // The cluster takes note of a lost node only on pods that its kubelet has called ready before.
  const settled = (found: { status: string; pod?: { containers: { ready: boolean }[] } }) =>
    found.status === 'failed' || (found.status === 'running' && found.pod!.containers.every(({ ready }) => ready))
  const before = await porthole.eventually(path, settled, 300)
  expect([before.status, before.status_reason]).toEqual(['running', null])

  // The cluster itself waits 40 to 50 s before it calls a silent node not ready; we add nothing to that.
  await node('stop')
  const stopped = performance.now()
  const silent = await porthole.eventually(path, found => found.status_reason !== null, 120)
  console.info(`told after ${Math.round((performance.now() - stopped) / 1000)} s: ${silent.status}, ${silent.status_reason}`)
  expect(silent.status_reason).toMatch(/^\S+ is not ready: whether the session still runs is not known/)

  await node('start')
  const back = await porthole.eventually(path, found => found.status_reason === null, 120)
  expect([back.status, back.pod.name, back.generation]).toEqual(['running', before.pod.name, before.generation])
  const browser = await chromium.connectOverCDP(back.urls.cdp, { headers: porthole.headers, timeout: 120_000 })
  expect(browser.contexts()).toHaveLength(1)
  await browser.close()

  await node('stop')
  const stoppedAgain = performance.now()
  const lost = await porthole.eventually(path, found => found.status === 'failed', 600)
  console.info(`failed after ${Math.round((performance.now() - stoppedAgain) / 1000)} s: ${lost.status_reason}`)
  expect(lost.status_reason).toMatch(/^\S+ has not been heard of for 5 minutes/)
  // Whether it still runs is not known: it stays where it is until the cluster says that it is gone, and none is made beside it.
  expect((await porthole.api('DELETE', path)).status).toBe(204)
  expect((await place.left()).filter(name => name.startsWith('pods/'))).toEqual([`pods/${before.pod.name}`])

  await node('start')
  await place.untilGone()
})
