/** Live output of what manifests and deploys left running, against the double: which pod is meant, what is asked, and how it ends. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import type { LogOptions } from '../../runtime.ts'
import { createKubeClient } from '../kube-client.ts'
import { KubeDouble } from '../testing/kube-double.ts'
import type { Pod } from '../wire.ts'
import { ofSet } from './manifest-labels.ts'
import type { Live } from './place-objects.ts'
import { TaskRuntime } from './task-runtime.ts'

let double: KubeDouble
let runtime: TaskRuntime
beforeEach(async () => {
  double = await KubeDouble.start()
  const client = createKubeClient({ config: double.config, clock: systemClock, random: () => 0.5 })
  const places = [{ project: 'prj_a', namespace: 'team', serviceAccount: 'tenant' }]
  runtime = new TaskRuntime({ client, agentName: 'eu', places, clock: systemClock, log: createLog(() => {}) })
})
afterEach(async () => {
  await runtime.close()
  await double.close()
})

const pods = '/api/v1/namespaces/team/pods'
const manifest: TerminalJob = { type: 'manifest', attempt: 1, project: 'prj_a', set: 'shop' }
const mine = ofSet({ agent: 'eu', project: 'prj_a', set: 'shop' })
const put = (collection: string, object: Pod | Live) => double.put(collection, object)
function pod(name: string, { labels = {}, phase = 'Running', minute = 0, leaving = false } = {}) {
  const metadata = {
    name,
    labels: { ...mine, ...labels },
    creationTimestamp: `2026-01-01T00:0${minute}:00Z`,
    ...(leaving && { deletionTimestamp: '2026-01-01T01:00:00Z' }),
  }
  put(pods, { metadata, spec: { containers: [{ name: 'main' }, { name: 'side' }] }, status: { phase } })
  double.write(`${name}/main`, `${name} one\n${name} two\n`)
}
async function wholeOf(output: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of output) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
const forever = new AbortController().signal
async function ask(of: TerminalJob = manifest, options: Partial<LogOptions> & { pod?: string } = {}) {
  const found = await runtime.output('job_a', of, { follow: false, signal: forever, ...options }, forever)
  return { ...found, text: () => wholeOf(found.output) }
}

describe('which pod', () => {
  it('the newest that runs, and all that could be read are named', async () => {
    pod('old', { minute: 1 })
    pod('new', { minute: 3 })
    pod('done', { minute: 4, phase: 'Succeeded' })
    pod('going', { minute: 5, leaving: true })
    const { stream, streams, text } = await ask(manifest, { tailLines: 1 })
    expect([stream, await text()]).toEqual(['new/main', 'new two\n'])
    expect(streams).toEqual(['going', 'done', 'new', 'old'].flatMap(name => [`${name}/main`, `${name}/side`]))
  })

  it('the one that is named, ended or not, and the container', async () => {
    pod('web')
    pod('done', { phase: 'Succeeded' })
    double.write('web/side', 'beside\n')
    expect(await (await ask(manifest, { pod: 'done' })).text()).toBe('done one\ndone two\n')
    expect(await (await ask(manifest, { pod: 'web', container: 'side' })).text()).toBe('beside\n')
  })

  it('of a deploy: those of its services that this project applied', async () => {
    const spec = { selector: { matchLabels: { app: 'web' } } }
    put('/apis/apps/v1/namespaces/team/deployments', { metadata: { name: 'web' }, spec })
    pod('web-1', { labels: { app: 'web' } })
    put(pods, { metadata: { name: 'stranger', labels: { app: 'web' } }, status: { phase: 'Running' } })
    const { stream, streams } = await ask({ type: 'deploy', attempt: 1, project: 'prj_a', services: ['web/main'] })
    expect([stream, streams]).toEqual(['web-1/main', ['web-1/main', 'web-1/side']])
  })

  it.each<[string, TerminalJob, object, object]>([
    [
      'nothing runs: what can be named is said',
      manifest,
      {},
      { status: 409, code: 'job_not_running', message: /can be named: done/ },
    ],
    ['of another set', manifest, { pod: 'other' }, { status: 404, code: 'not_found', message: /no pod other, only done/ }],
    ['no such container', manifest, { pod: 'done', container: 'x' }, { status: 404, message: /only main, side/ }],
    ['another project', { ...manifest, project: 'prj_b' }, {}, { status: 403, code: 'forbidden' }],
  ])('refused: %s', async (_, of, options, refusal) => {
    pod('done', { phase: 'Succeeded' })
    pod('other', { labels: { 'porthole.dev/set': 'else' } })
    const error = await ask(of, options).catch((error: unknown) => error)
    const { message, ...rest } = refusal as { message?: RegExp }
    expect(error).toMatchObject(rest)
    expect((error as Error).message).toMatch(message ?? /./)
  })
})

describe('following', () => {
  it('goes on with what is written, and lets go of the cluster when the reader leaves', async () => {
    pod('web')
    const left = new AbortController()
    const { output } = await ask(manifest, { follow: true, tailLines: 1, signal: left.signal })
    const lines = output[Symbol.asyncIterator]()
    expect(String((await lines.next()).value)).toBe('web two\n')
    double.write('web/main', 'three\n')
    expect(String((await lines.next()).value)).toBe('three\n')
    expect(double.followersOf('web/main')).toBe(1)
    left.abort()
    expect((await lines.next()).done).toBe(true)
    await vi.waitFor(() => expect(double.followersOf('web/main')).toBe(0), { timeout: 30_000 })
  })

  it('waits for a container that has not begun; who does not follow gets nothing', async () => {
    pod('web')
    const waiting = {
      on: /\/log\?/,
      status: 400,
      message: 'container "main" in pod "web" is waiting to start: ContainerCreating',
    }
    double.fail(waiting)
    expect(await (await ask()).text()).toBe('')
    double.fail(waiting)
    const { output } = await ask(manifest, { follow: true })
    const lines = output[Symbol.asyncIterator]()
    expect(String((await lines.next()).value)).toBe('web one\nweb two\n')
    await lines.return?.()
  })

  it('a pod that went in between is an answer', async () => {
    pod('web')
    double.fail({ on: /\/log\?/, status: 404, reason: 'NotFound' })
    await expect((await ask()).text()).rejects.toMatchObject({ status: 409, code: 'job_not_running' })
  })
})
