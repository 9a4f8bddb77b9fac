/** Every stream is in the audit twice: when it was opened, and when it ended with what went over it. */
import { asc, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { audit, grants } from '#db/schema.ts'
import { sweepAudit } from '../audit/retention.ts'
import { newId } from '../ids.ts'
import { echo, type FakeAgent } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'

let api: NodeApi
let agent: FakeAgent
beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  const link = await agent.link()
  link.serve(open => {
    if (open.target.port === 3000)
      link.send({ type: 'refused', stream: open.stream, status: 502, code: 'target_refused', detail: 'no' })
    else void echo(open)
  })
})
afterAll(() => api?.close())

async function told(session: string) {
  return vi.waitFor(
    async () => {
      const rows = await api.db.select().from(audit).where(eq(audit.target, session)).orderBy(asc(audit.created_at))
      expect(rows.map(row => row.action)).toEqual(['stream.open', 'stream.close'])
      return rows
    },
    { timeout: 30_000 },
  )
}

it('with bytes each way, duration, code and reason', async () => {
  const session = await api.session(agent.cluster)
  const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`)
  await open
  const echoed = new Promise(resolve => ws.once('message', resolve))
  ws.send(Buffer.alloc(5_000))
  await echoed
  ws.close(1000, 'done')
  await closed
  const [opened, ended] = await told(session)
  expect(opened).toMatchObject({
    actor_kind: 'token',
    actor: 'admin',
    address: '127.0.0.1',
    detail: { kind: 'vnc', role: 'control' },
  })
  expect(ended).toMatchObject({
    actor_kind: 'token',
    actor: 'admin',
    token_id: opened!.token_id,
    outcome: 'ok',
    address: '127.0.0.1',
  })
  expect(ended!.detail).toMatchObject({
    stream: opened!.detail.stream,
    kind: 'vnc',
    code: 1000,
    bytes_in: 5_000,
    bytes_out: 5_000,
  })
})

it('as failed when nobody answered', async () => {
  const session = await api.session(agent.cluster)
  const { open } = api.viewer(`/v1/sessions/${session}/ports/3000`)
  await expect(open).rejects.toThrow('502')
  expect((await told(session))[1]).toMatchObject({ outcome: 'failed', detail: { kind: 'port' } })
})

it('also when its replica died', async () => {
  const session = await api.session(agent.cluster)
  const { ws, open, closed } = api.viewer(`/v1/sessions/${session}/vnc`)
  await open
  const [row] = await api.db.select().from(grants).where(eq(grants.session_id, session))
  const other = await api.session(agent.cluster)
  const late = new Date(Date.now() - 120_000)
  await api.db.insert(grants).values({ ...row!, id: newId('str'), session_id: other, replica_id: 'rep_dead', opened_at: late })
  await api.tunnel.streams.sweepLost()
  const [lost] = await api.db.select().from(audit).where(eq(audit.target, other))
  expect(lost).toMatchObject({ action: 'stream.close', detail: { code: 1011, reason: 'lost' } })
  ws.close()
  await closed
})

it('is kept as long as was said, and no longer', async () => {
  const [row] = await api.db.select().from(audit).limit(1)
  const aged = (days: number) => ({
    ...row!,
    id: newId('aud'),
    target: 'aged',
    created_at: new Date(Date.now() - days * 86_400_000),
  })
  await api.db.insert(audit).values([aged(29), aged(31), aged(500)])
  await sweepAudit(api.db, 30)
  const [left] = await api.db.select({ n: sql<number>`count(*)::int` }).from(audit).where(eq(audit.target, 'aged'))
  expect(left!.n).toBe(1)
})
