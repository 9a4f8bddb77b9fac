import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, clusters, idempotency_keys, tokens } from '#db/schema.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { seal, unseal } from './seal.ts'

let api: ApiFixture
let ann: Minted
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 10_000 })
  ann = await api.mint({ user: 'ann', scopes: ['clusters:admin', 'clusters:read', 'tokens', 'sessions:read', 'sessions:write'] })
})
afterAll(() => api?.close())

const post = (path: string, body: unknown, key: string, token: Minted = ann) =>
  api.call('POST', path, { token, body, headers: { 'idempotency-key': key } })
const template = (id: string) => ({ id, name: id, kind: 'browser' })

describe('Idempotency-Key', () => {
  it('30 at once with one key have one effect, and everybody gets the one answer', async () => {
    const before = (await api.db.select().from(audit).where(eq(audit.action, 'cluster.create'))).length
    const answers = await Promise.all(Array.from({ length: 30 }, () => post('/v1/clusters', { name: 'race' }, 'race-1')))
    const fresh = answers.filter(a => a.status === 201 && !a.headers.get('idempotent-replayed'))
    const replayed = answers.filter(a => a.headers.get('idempotent-replayed') === 'true')
    const inFlight = answers.filter(a => a.status === 409)
    expect(fresh).toHaveLength(1)
    expect(fresh.length + replayed.length + inFlight.length).toBe(30)
    expect(replayed.length).toBeGreaterThan(0)
    for (const answer of replayed) expect(answer.body).toEqual(fresh[0]!.body)
    expect(await api.db.select().from(clusters).where(eq(clusters.name, 'race'))).toHaveLength(1)
    expect((await api.db.select().from(audit).where(eq(audit.action, 'cluster.create'))).length).toBe(before + 1)
  })

  it('another body under the same key is refused, and changes nothing', async () => {
    expect((await post('/v1/templates', template('one'), 'k2')).status).toBe(201)
    const other = await post('/v1/templates', template('two'), 'k2')
    expect(other).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect((await api.call('GET', '/v1/templates/two', { token: ann })).status).toBe(404)
  })

  it('belongs to one user, one path and one project', async () => {
    const bob = await api.mint({ project: ann.project, user: 'bob', scopes: ['sessions:write'] })
    const eve = await api.mint({ user: 'ann', scopes: ['sessions:write'] })
    expect((await post('/v1/templates', template('k3'), 'k3')).status).toBe(201)
    expect((await post('/v1/templates', template('k3'), 'k3', bob)).status).toBe(409)
    expect((await post('/v1/templates', template('k3'), 'k3', eve)).status).toBe(201)
  })

  it('does not let a token replay what it may not do', async () => {
    const weak = await api.mint({ project: ann.project, user: 'ann', scopes: ['sessions:read'] })
    await post('/v1/templates', template('k4'), 'k4')
    expect((await post('/v1/templates', template('k4'), 'k4', weak)).status).toBe(403)
  })

  it('does not keep refusals: the same key works once the request is right', async () => {
    expect((await post('/v1/templates', { id: 'k5' }, 'k5')).status).toBe(422)
    expect((await post('/v1/templates', template('k5'), 'k5')).status).toBe(201)
    expect((await post('/v1/clusters', { name: 'k5b', project: 'prj_other' }, 'k5b')).status).toBe(403)
    const rows = await api.db.select().from(idempotency_keys).where(eq(idempotency_keys.key, 'k5b'))
    expect(rows).toHaveLength(0)
  })

  it('keeps a conflict as the settled answer it is', async () => {
    await post('/v1/templates', template('k6'), 'k6')
    expect((await post('/v1/templates', template('k6'), 'k6-again')).status).toBe(409)
    await api.call('DELETE', '/v1/templates/k6', { token: ann })
    const replay = await post('/v1/templates', template('k6'), 'k6-again')
    expect(replay.status).toBe(409)
    expect(replay.headers.get('idempotent-replayed')).toBe('true')
  })

  it('a failure on our side undoes the effect and the key', async () => {
    await api.db.execute(sql`
      create function refuse_audit() returns trigger language plpgsql as $$ begin
        if new.action = 'template.create' and new.target = 'k7' then raise exception 'disk full'; end if; return new; end $$`)
    await api.db.execute(sql`create trigger refuse_audit before insert on audit for each row execute function refuse_audit()`)
    const failed = await post('/v1/templates', template('k7'), 'k7')
    expect(failed).toMatchObject({ status: 500, body: { code: 'internal' } })
    expect(JSON.stringify(failed.body)).not.toContain('disk')
    await api.db.execute(sql`drop trigger refuse_audit on audit`)
    expect((await post('/v1/templates', template('k7'), 'k7')).status).toBe(201)
  })

  it.each(['', 'x'.repeat(256), 'tab\there'])('refuses the key %j', async key => {
    const answer = await post('/v1/templates', template('bad'), key)
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: 'Idempotency-Key' }] } })
  })

  it('after-commit work waits for the outer commit and still happens', async () => {
    const made = await api.mint({ project: ann.project, user: 'ann', scopes: ['sessions:read'] })
    expect((await api.call('GET', '/v1/templates', { token: made })).status).toBe(200)
    // Rotation without grace forgets the older token at once, which is after-commit work.
    const rotated = await api.call('POST', `/v1/tokens/${made.id}/rotate`, { token: ann, headers: { 'idempotency-key': 'k8' } })
    expect(rotated.status).toBe(201)
    expect((await api.call('GET', '/v1/templates', { token: made })).status).toBe(401)
  })
})

describe('secrets in kept answers', () => {
  it('are replayed to the token that asked, to no other, and are not in the database', async () => {
    const body = { name: 'ci', scopes: ['sessions:read'] }
    const first = await post('/v1/tokens', body, 's1')
    const again = await post('/v1/tokens', body, 's1')
    expect(again.body.token).toBe(first.body.token)
    expect(again.body.token).toMatch(/^vnc-sk-proj-/)
    const sameUser = await api.mint({ project: ann.project, user: 'ann', scopes: ['tokens', 'sessions:read'] })
    expect(await post('/v1/tokens', body, 's1', sameUser)).toMatchObject({ status: 409, body: { code: 'conflict' } })
    const dump = JSON.stringify(await api.db.select().from(idempotency_keys)) + JSON.stringify(await api.db.select().from(tokens))
    expect(dump).not.toContain(first.body.token)
    expect(dump).not.toContain(first.body.token.slice(-49, -6))
  })

  it('open only with the same secret in the same place', async () => {
    const sealed = await seal('text', 'secret', 'here')
    expect(await unseal(sealed, 'secret', 'here')).toBe('text')
    expect(await unseal(sealed, 'secret', 'there')).toBeNull()
    expect(await unseal(sealed, 'other', 'here')).toBeNull()
    expect(await unseal('rubbish', 'secret', 'here')).toBeNull()
    expect(await seal('text', 'secret', 'here')).not.toBe(sealed)
  })
})
