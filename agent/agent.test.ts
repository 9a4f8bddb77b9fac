import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryStore, startAgent, type TestAgent } from './testing/agent-under-test.ts'
import { ApiDouble, listen } from './testing/api-double.ts'
import { ScriptedRuntime } from './testing/scripted-runtime.ts'
import { aDesired, aSpec } from './testing/session-fixtures.ts'

let api: ApiDouble
let runtime: ScriptedRuntime
let agent: TestAgent | null = null

beforeEach(async () => {
  api = await ApiDouble.start()
  runtime = new ScriptedRuntime()
})
afterEach(async () => {
  await agent?.stop()
  agent = null
  await api.kill()
})

describe('a whole agent', () => {
  test('enrols, reports, starts what is wanted and ends what is not', async () => {
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.heard.some(message => message.type === 'report' && message.complete))
    api.want(aDesired('ses_a'))
    await api.phase('ses_a', 'running')
    expect([...runtime.instances.keys()]).toEqual(['ses-a-g1'])

    api.want(aDesired('ses_a', { generation: 2 }))
    await api.phase('ses_a', 'running', 2)
    expect([...runtime.instances.keys()]).toEqual(['ses-a-g2'])

    api.want(aDesired('ses_a', { generation: 2, state: 'stopped' }))
    expect(await api.phase('ses_a', 'ended')).toMatchObject({ cause: 'stopped' })
    expect(runtime.files.has('ses_a')).toBe(true)

    api.want({ ...aDesired('ses_a', { generation: 2, state: 'deleted' }), spec: undefined })
    await api.phase('ses_a', 'absent')
    expect(runtime.files.has('ses_a')).toBe(false)
    expect(runtime.mostAtOnce).toBe(1)
  })

  test('sessions and streams live on while the API is away; it catches up with what changed', async () => {
    const target = await echoServer()
    runtime.onDial = async () => ({ kind: 'bytes', socket: await connected(target) })
    agent = startAgent({ origin: api.origin, runtime })
    await api.until(() => api.link)
    api.want(aDesired('ses_a', { spec: aSpec({ ports: [{ name: 'x', port: 9000 }] }) }))
    await api.phase('ses_a', 'running')
    const { socket } = await api.opened()
    const heard = listen(socket)
    api.link!.terminate()
    api.refuseUpgrades = 503
    socket.send('still here')
    await heard.until(() => heard.bytes().toString() === 'still here')
    expect(runtime.instances.size).toBe(1)
    api.desired.set('ses_b', aDesired('ses_b'))
    api.seq++
    api.refuseUpgrades = null
    await api.phase('ses_b', 'running')
    expect(api.heard.findLast(message => message.type === 'streams')).toMatchObject({ streams: ['str_1'] })
    socket.close(1000)
    await heard.closed
    target.close()
  })

  test('a new life of the agent ends honestly what died with the old one, and keeps its identity', async () => {
    const keyStore = memoryStore()
    const stateStore = memoryStore()
    agent = startAgent({ origin: api.origin, runtime, keyStore, stateStore })
    await api.until(() => api.link)
    api.want(aDesired('ses_a'), aDesired('ses_b', { spec: aSpec({ restart: 'on_failure' }) }))
    await api.phase('ses_a', 'running')
    await api.phase('ses_b', 'running')
    await agent.stop()
    await runtime.close()
    agent = startAgent({ origin: api.origin, runtime, keyStore, stateStore, boot: 'boot2' })
    expect(await api.phase('ses_a', 'ended')).toMatchObject({
      cause: 'failed',
      reason: expect.stringContaining('agent restarted'),
    })
    await api.phase('ses_b', 'running')
    expect(api.linkCount).toBe(2)
    expect(runtime.calls.filter(call => call === 'start ses-a-g1')).toHaveLength(1)
  })
})

async function echoServer(): Promise<Server> {
  const server = createServer(socket => socket.on('error', () => {}).pipe(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}
async function connected(server: Server): Promise<Socket> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}
