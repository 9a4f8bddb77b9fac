/** A row read as JSON is the row. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestDatabase } from '../tests/database.ts'
import type { OpenDatabase } from './client.ts'
import { jsonRow } from './json-row.ts'
import { clusters, projects, sessions, tokens } from './schema.ts'

let open: OpenDatabase
beforeAll(async () => {
  open = await openTestDatabase(1)
})
afterAll(() => open.close())

test('every column of a session, full and empty, is what it is when read by itself', async () => {
  const { db } = open
  const owner = { project_id: 'prj_a', user_id: 'me', created_by: 'tok_a', template_id: 'x' }
  await db.insert(projects).values({ id: 'prj_a', name: 'a', quotas: {} as never })
  await db.insert(clusters).values({ id: 'clu_a', name: 'c', seq: 2 ** 40 })
  const odd = 'a "quoted" \\ one,\n\u2028 and Ü'
  const spec = { kind: 'app', headless: false, command: [odd] } as never
  await db.insert(sessions).values([
    { ...owner, id: 'ses_empty', spec, status: 'queued' },
    {
      ...{ ...owner, id: 'ses_full', spec, status: 'stopped', cluster_id: 'clu_a', name: odd, labels: { [odd]: odd } },
      ...{ memory_bytes: 2 ** 50 + 1, phases: [{ phase: 'x', at: '2026-01-01T00:00:00Z' }], notes: [odd], ttl_seconds: 60 },
      ...{ display: { width: 1, height: 2 } as never, pod: { name: odd } as never, settling: true },
      ...{ created_at: new Date('1999-12-31T23:59:59.999Z'), ended_at: new Date('2026-06-15T12:00:00.120Z') },
    },
  ])
  for (const id of ['ses_empty', 'ses_full']) {
    const [{ row: plain } = { row: null }] = await db.select({ row: sessions }).from(sessions).where(eq(sessions.id, id))
    const [{ row } = { row: null }] = await db
      .select({ row: jsonRow(sessions) })
      .from(sessions)
      .leftJoin(clusters, eq(clusters.id, sessions.cluster_id))
      .where(eq(sessions.id, id))
    expect(plain).not.toBeNull()
    expect(row).toEqual(plain)
    expect(row!.created_at).toBeInstanceOf(Date)
  }
})

test('a table with bytes is refused', () => {
  expect(() => jsonRow(tokens)).toThrow('tokens.hash cannot be read as JSON')
})
