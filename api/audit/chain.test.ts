/** What was written down stays as it was written, and who changes it in the database itself is found out. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { audit, audit_chain } from '#db/schema.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { checkChain, linkAudit } from './chain.ts'
import { sweepAudit } from './retention.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
})
afterAll(() => api?.close())

const makers = (count: number, token: Minted) =>
  Promise.all(Array.from({ length: count }, (_, n) => api.call('POST', '/v1/tokens', { token, body: { name: `t${n}` } })))
const records = (project: string) => api.db.select().from(audit).where(eq(audit.project_id, project)).orderBy(audit.tx, audit.seq)

/** A transaction in another database of the same server holds back what is settled here, too. */
async function linked(project: string, length: number): Promise<void> {
  await vi.waitFor(
    async () => {
      await linkAudit(api.db)
      expect((await checkChain(api.db, project)).length).toBe(length)
    },
    { timeout: 60_000, interval: 50 },
  )
}

/** As somebody would who may do anything in the database. */
const behindItsBack = (change: ReturnType<typeof sql>) =>
  api.db.transaction(async tx => {
    await tx.execute(sql`alter table audit disable trigger user`)
    await tx.execute(change)
    await tx.execute(sql`alter table audit enable trigger user`)
  })

async function filled(count: number) {
  const token = await api.mint({ scopes: ['tokens'] })
  await makers(count, token)
  await linked(token.project, count)
  return { token, rows: await records(token.project) }
}

describe('the table', () => {
  it.each(['update audit set outcome = outcome', 'delete from audit', 'truncate audit'])('refuses %s', async text => {
    await filled(1)
    const refused = await api.db.execute(sql.raw(text)).then(
      () => null,
      (error: { cause?: { code?: string } }) => error.cause?.code,
    )
    expect(refused).toBe('42501')
  })
})

describe('the chain', () => {
  it('links every record once, however many write and link at the same time', { timeout: 90_000 }, async () => {
    const token = await api.mint({ scopes: ['tokens'] })
    await Promise.all([makers(40, token), ...Array.from({ length: 4 }, () => linkAudit(api.db))])
    await linked(token.project, 40)
    expect(await checkChain(api.db, token.project)).toMatchObject({ checked: 40, broken: [] })
    const links = await api.db.select().from(audit_chain).where(eq(audit_chain.project_id, token.project))
    expect(new Set(links.map(link => link.audit_id)).size).toBe(40)
    const told = (await api.call('GET', `/v1/audit/chain?project=${token.project}`, { token: api.admin })).body
    expect(told).toMatchObject({ id: token.project, object: 'audit_chain', length: 40, intact: true, broken: [] })
    expect(told.head).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is not intact when a record says something else', { timeout: 90_000 }, async () => {
    const { token, rows } = await filled(5)
    await behindItsBack(sql`update audit set actor = 'eve' where id = ${rows[2]!.id}`)
    expect((await checkChain(api.db, token.project)).broken).toEqual([rows[2]!.id])
  })

  it('nor when one is gone, or its link was made to fit', { timeout: 90_000 }, async () => {
    const { token, rows } = await filled(5)
    await behindItsBack(sql`delete from audit where id = ${rows[3]!.id}`)
    expect((await checkChain(api.db, token.project)).broken).toEqual([rows[3]!.id])
    await api.db.execute(sql`delete from audit_chain where audit_id = ${rows[3]!.id}`)
    expect((await checkChain(api.db, token.project)).broken).toEqual([rows[4]!.id])
    await api.db.execute(sql`update audit_chain set hash = sha256('x') where audit_id = ${rows[1]!.id}`)
    expect((await checkChain(api.db, token.project)).broken).toEqual([rows[1]!.id, rows[2]!.id, rows[4]!.id])
  })

  it('outlives retention, which takes the oldest with their links', { timeout: 90_000 }, async () => {
    const { token, rows } = await filled(6)
    const before = await checkChain(api.db, token.project)
    const old = rows.slice(0, 3).map(row => row.id)
    await behindItsBack(sql`update audit set created_at = clock_timestamp() - interval '500 days' where id in ${old}`)
    await sweepAudit(api.db, 400)
    expect((await records(token.project)).map(row => row.id)).toEqual(rows.slice(3).map(row => row.id))
    expect(await checkChain(api.db, token.project)).toEqual({ length: 6, head: before.head, checked: 3, broken: [] })
    await behindItsBack(
      sql`update audit set created_at = clock_timestamp() - interval '500 days' where project_id = ${token.project}`,
    )
    await sweepAudit(api.db, 400)
    expect(await checkChain(api.db, token.project)).toEqual({ length: 6, head: before.head, checked: 0, broken: [] })
    await makers(2, token)
    await linked(token.project, 8)
    expect(await checkChain(api.db, token.project)).toMatchObject({ checked: 2, broken: [] })
  })
})
