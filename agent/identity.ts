/**
 * Who this agent is. Once: make an Ed25519 key pair, register its public half with the single-use join token. From then on a short JWT
 * per link. The key is kept before the token is spent, so that an answer lost on the way can be asked for again with the same key.
 */
import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose'
import { z } from 'zod'
import { agentAudience, agentJwtMaxAge, EnrollResponse } from '#protocol/agent-identity.ts'
import { type Clock, sleep } from './clock.ts'
import { Backoff } from './link/backoff.ts'
import { problemDetail } from './link/link-socket.ts'
import { type Log, whatFailed } from './log.ts'
import type { TextStore } from './sessions/state-file.ts'

const StoredKey = z.object({
  key: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), d: z.string() }),
  /** Absent until the API has answered the enrolment. */
  enrolled: EnrollResponse.optional(),
})
type StoredKey = z.infer<typeof StoredKey>

export interface Identity {
  agent: string
  cluster: { id: string; name: string }
  /** A fresh JWT for one connection. */
  sign(): Promise<string>
  /** The API's clock as it was seen to differ from ours; a wrong clock here must not lock the agent out. */
  correctClock(apiNow: number): void
}

/** It makes no sense to try again: the sentence is for a person. */
export class EnrolError extends Error {
  override readonly name = 'EnrolError'
}

export interface EnrolParts {
  origin: string
  joinToken: string | undefined
  version: string
  store: TextStore
  fetch: typeof fetch
  clock: Clock
  random: () => number
  log: Log
  signal: AbortSignal
}

const answerDeadlineMs = 15_000
/** A clock a little ahead of the API's must not sign from its future. */
const backdateSeconds = 5

export async function ensureIdentity(parts: EnrolParts): Promise<Identity> {
  const stored = await loadKey(parts.store)
  if (stored.enrolled) return identityOf(stored.key, stored.enrolled, parts.clock)
  if (!parts.joinToken) {
    throw new EnrolError(
      'this agent is not enrolled yet: give it a join token in PORTHOLE_JOIN_TOKEN (the API makes one with POST /v1/clusters)',
    )
  }
  const enrolled = await enrol(parts, parts.joinToken, stored.key.x)
  await parts.store.save(JSON.stringify({ key: stored.key, enrolled } satisfies StoredKey))
  parts.log.info('enrolled', { agent: enrolled.agent, cluster: enrolled.cluster.name })
  return identityOf(stored.key, enrolled, parts.clock)
}

async function loadKey(store: TextStore): Promise<StoredKey> {
  const text = await store.load()
  if (text !== null) {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      value = null
    }
    const parsed = StoredKey.safeParse(value)
    if (!parsed.success) throw new EnrolError('the agent key file cannot be read; remove it and enrol this agent again')
    return parsed.data
  }
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const fresh = StoredKey.parse({ key: await exportJWK(privateKey) })
  await store.save(JSON.stringify(fresh))
  return fresh
}

async function enrol(parts: EnrolParts, joinToken: string, x: string): Promise<EnrollResponse> {
  const { clock, log, signal } = parts
  const backoff = new Backoff(parts.random)
  const body = JSON.stringify({
    join_token: joinToken,
    public_key: { kty: 'OKP', crv: 'Ed25519', x },
    agent_version: parts.version,
  })
  for (;;) {
    signal.throwIfAborted()
    let problem: string
    try {
      const response = await parts.fetch(new URL('/v1/agent/enroll', parts.origin), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerDeadlineMs)]),
      })
      const text = await response.text()
      if (response.ok) return EnrollResponse.parse(JSON.parse(text))
      problem = `the API answered ${response.status}: ${problemDetail(text) || response.statusText}`
      const again = response.status >= 500 || response.status === 429 || response.status === 408
      if (!again)
        throw new EnrolError(`enrolment refused, ${problem}. A join token works once and for a short time: make a new one`)
    } catch (error) {
      if (error instanceof EnrolError || signal.aborted) throw error
      if (error instanceof z.ZodError || error instanceof SyntaxError)
        throw new EnrolError(`${parts.origin} does not answer like a Porthole API`)
      problem = whatFailed(error)
    }
    const wait = backoff.next()
    log.warn('not enrolled yet', { error: problem, retry_ms: Math.round(wait) })
    await sleep(clock, wait, signal)
  }
}

async function identityOf(key: StoredKey['key'], enrolled: EnrollResponse, clock: Clock): Promise<Identity> {
  const secret = await importJWK(key, 'EdDSA')
  let offset = 0
  return {
    agent: enrolled.agent,
    cluster: enrolled.cluster,
    correctClock(apiNow) {
      offset = apiNow - clock.wall()
    },
    sign() {
      const issued = Math.floor((clock.wall() + offset) / 1000) - backdateSeconds
      return new SignJWT()
        .setProtectedHeader({ alg: 'EdDSA', kid: enrolled.agent })
        .setIssuer(enrolled.agent)
        .setAudience(agentAudience)
        .setJti(randomUUID())
        .setIssuedAt(issued)
        .setExpirationTime(issued + agentJwtMaxAge)
        .sign(secret)
    },
  }
}
