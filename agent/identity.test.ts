import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { beforeEach, describe, expect, test } from 'vitest'
import { agentAudience, EnrollRequest } from '#protocol/agent-identity.ts'
import { EnrolError, type EnrolParts, ensureIdentity } from './identity.ts'
import { createLog } from './log.ts'
import { memoryStore } from './testing/agent-under-test.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { eventually } from './testing/table-world.ts'

let clock: FakeClock
let store: ReturnType<typeof memoryStore>
let asked: EnrollRequest[]
let answers: (Response | Error)[]
let stop: AbortController

const enrolled = { agent: 'agt_1', cluster: { id: 'clu_1', name: 'home' } }
const yes = () => Response.json(enrolled, { status: 201 })
const no = (status: number, detail = 'no') => Response.json({ detail }, { status })

beforeEach(() => {
  clock = new FakeClock()
  store = memoryStore()
  asked = []
  answers = []
  stop = new AbortController()
})

function ensure(overrides: Partial<EnrolParts> = {}) {
  return ensureIdentity({
    origin: 'http://api.test',
    joinToken: 'join-1',
    version: '1',
    store,
    fetch: async (url, init) => {
      expect(String(url)).toBe('http://api.test/v1/agent/enroll')
      asked.push(EnrollRequest.parse(JSON.parse(String(init!.body))))
      const answer = answers.shift() ?? yes()
      if (answer instanceof Error) throw answer
      return answer
    },
    clock,
    random: () => 0.5,
    log: createLog(() => {}),
    signal: stop.signal,
    ...overrides,
  })
}

test('enrols once; the next life asks nobody', async () => {
  const first = await ensure()
  const second = await ensure({ joinToken: undefined })
  expect(asked).toHaveLength(1)
  expect([first.agent, second.agent, second.cluster.name]).toEqual(['agt_1', 'agt_1', 'home'])
})

test('its private key never leaves; what it signs the public key proves', async () => {
  const identity = await ensure()
  expect(JSON.stringify(asked[0])).not.toContain(JSON.parse(store.text!).key.d)
  const token = await identity.sign()
  const { payload } = await jwtVerify(token, await importJWK(asked[0]!.public_key, 'EdDSA'), {
    audience: agentAudience,
    issuer: 'agt_1',
    currentDate: new Date(clock.wall()),
    maxTokenAge: '60s',
  })
  expect(payload.exp! - payload.iat!).toBe(60)
  expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', kid: 'agt_1' })
  expect(decodeJwt(await identity.sign()).jti).not.toBe(payload.jti)
})

test('a wrong clock is corrected by the API’s', async () => {
  const identity = await ensure()
  identity.correctClock(clock.wall() + 3_600_000)
  expect(decodeJwt(await identity.sign()).iat).toBe(Math.floor((clock.wall() + 3_600_000) / 1000) - 5)
})

describe('an API that is not there', () => {
  test('is asked again with growing pauses, always with the same key', async () => {
    answers = [new Error('ECONNREFUSED'), no(503), no(429), no(500)]
    const identity = ensure()
    // The key is made by a thread of its own: real time, however the clock stands.
    for (const wait of [250, 500, 1_000, 2_000]) {
      await eventually(() => clock.waiting === 1)
      const before = asked.length
      await clock.advance(wait - 1)
      expect(asked).toHaveLength(before)
      await clock.advance(1)
    }
    expect((await identity).agent).toBe('agt_1')
    expect(new Set(asked.map(each => each.public_key.x)).size).toBe(1)
    expect(asked).toHaveLength(5)
  })

  test('whose answer was lost is asked by the next life with the same key', async () => {
    answers = [new Error('socket hang up')]
    const lost = ensure()
    await eventually(() => clock.waiting === 1)
    stop.abort()
    await expect(lost).rejects.toThrow()
    stop = new AbortController()
    await ensure()
    expect(asked[1]).toEqual(asked[0])
  })

  test('stops asking when the agent stops', async () => {
    answers = [no(503), no(503)]
    const identity = ensure()
    await eventually(() => clock.waiting === 1)
    stop.abort()
    await expect(identity).rejects.toThrow()
    expect(clock.waiting).toBe(0)
  })
})

describe('for a person to mend', () => {
  test.each([400, 401, 403, 404, 409, 410, 422])('%d is the end, in one line', async status => {
    answers = [no(status, 'this join token was used')]
    const failure = await ensure().catch(error => error)
    expect(failure).toBeInstanceOf(EnrolError)
    expect(failure.message).toContain('this join token was used')
    expect(failure.message).not.toContain('\n')
    expect(asked).toHaveLength(1)
  })

  test('no token and no key', async () => {
    await expect(ensure({ joinToken: undefined })).rejects.toThrow('PORTHOLE_JOIN_TOKEN')
  })

  test('something else listens there', async () => {
    answers = [new Response('<html>', { status: 200 })]
    await expect(ensure()).rejects.toThrow('does not answer like a Porthole API')
  })

  test.each(['', '{', '{"key":{}}', '[]'])('a key file of %j', async text => {
    store = memoryStore(text)
    await expect(ensure()).rejects.toThrow(EnrolError)
  })
})
