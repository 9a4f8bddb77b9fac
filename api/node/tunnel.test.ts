/** What of the tunnel is Node's own; how streams behave is in the conformance suite (streams.test.ts). */
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { grants } from '#db/schema.ts'
import { dialData, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'

let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let session: string
beforeAll(async () => {
  api = await nodeApi({ meetingMs: 1_500 })
  agent = await api.agent()
  link = await agent.link()
  session = await api.session(agent.cluster)
})
afterAll(() => api?.close())

const idle = () => vi.waitFor(() => expect(api.tunnel.streams.size).toBe(0), { timeout: 30_000, interval: 20 })

it('leaves nothing behind after a thousand visits, whatever way they end', { timeout: 300_000 }, async () => {
  let turn = 0
  link.serve(open => {
    const way = turn++ % 4
    if (way === 0) link.send({ type: 'refused', stream: open.stream, status: 502, code: 'target_refused', detail: 'no' })
    else if (way === 1)
      dialData(open).then(
        ws => ws.terminate(),
        () => {},
      )
    else dialData(open).catch(() => {})
  })
  const visit = async () => {
    const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`)
    if (Math.random() < 0.2) setTimeout(() => ws.terminate(), Math.random() * 20)
    await open.then(
      () => ws.close(),
      () => {},
    )
    await closed
  }
  for (let i = 0; i < 1_000; i += 10) await Promise.all(Array.from({ length: 10 }, visit))
  await idle()
  await vi.waitFor(
    async () => {
      const open = (await api.db.select().from(grants)).filter(grant => grant.closed_at === null)
      expect(open).toEqual([])
    },
    { timeout: 30_000 },
  )
})
