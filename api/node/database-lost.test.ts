/** All connections to the database are lost at once, again and again, in the middle of work: who asks then is told so, and whoever asks next is served. */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sessions, tokens } from '#db/schema.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'

let api: NodeApi
beforeAll(async () => {
  api = await nodeApi()
  // Before anybody has asked: how long this takes, and how much is asked meanwhile, is the machine's matter.
  await api.db.execute(sql`update projects set quotas = quotas || '{"requests_per_minute": 10000000}'`)
  await (await api.agent()).link()
})
afterAll(() => api?.close())

/** The status that is answered, and its code when it is a problem. */
async function ask(method: string, path: string, body?: object): Promise<string> {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization: `Bearer ${api.admin}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
    // Far longer than anything here takes, shorter than waiting for a connection that never speaks.
    signal: AbortSignal.timeout(8_000),
  })
  const { code = '' } = (await answer.json()) as { code?: string }
  return `${answer.status} ${code}`.trim()
}

it('is 503 for a moment, loses nothing that was answered, and is over at once', async () => {
  let over = false
  const answers = new Map<string, number>()
  const [created, minted]: [string[], string[]] = [[], []]
  const keepAsking = async (worker: number) => {
    for (let n = 0; !over; n++) {
      const name = `w${worker}-${n}`
      const [make, token] = [
        await ask('POST', '/v1/sessions', { template: 'chromium', name }),
        await ask('POST', '/v1/tokens', { name }),
      ]
      if (make === '201') created.push(name)
      if (token === '201') minted.push(name)
      for (const answer of [make, token, await ask('GET', '/v1/me'), await ask('GET', '/v1/sessions')])
        answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
  }
  const workers = Array.from({ length: 12 }, (_, n) => keepAsking(n))
  // As often as it takes to hit somebody's work several times.
  while ((answers.get('503 unavailable') ?? 0) < 4) {
    const before = answers.get('201') ?? 0
    await expect.poll(() => answers.get('201') ?? 0, { timeout: 30_000, interval: 10 }).toBeGreaterThan(before + 10)
    await api.db.execute(sql`
      select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'porthole-api' and datname = current_database()`)
  }
  await expect.poll(() => ask('POST', '/v1/tokens', { name: 'after' })).toBe('201')
  for (let n = 0; n < 20; n++) expect(await ask('GET', '/v1/sessions')).toBe('200')
  over = true
  await Promise.all(workers)
  expect(new Set(answers.keys())).toEqual(new Set(['200', '201', '503 unavailable']))

  const named = async (table: typeof sessions | typeof tokens) =>
    new Set((await api.db.select({ name: table.name }).from(table)).map(row => row.name))
  expect([...(await named(sessions))]).toEqual(expect.arrayContaining(created))
  expect([...(await named(tokens))]).toEqual(expect.arrayContaining(minted))
}, 180_000)
