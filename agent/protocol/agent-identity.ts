/**
 * How an agent proves who it is. Once: `POST /v1/agent/enroll` with the single-use join token and its Ed25519 public key. Then, for
 * each link: `Authorization: Bearer <JWT>` signed with that key (EdDSA, `kid` = agent id), so that no secret ever rests on the API.
 */
import { z } from 'zod'

export const EnrollRequest = z.object({
  join_token: z.string().max(160),
  /** JWK of the public key: kty OKP, crv Ed25519, x. */
  public_key: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().regex(/^[\w-]{43}$/) }),
  agent_version: z.string().max(64),
})
export type EnrollRequest = z.infer<typeof EnrollRequest>

export const EnrollResponse = z.object({
  agent: z.string(),
  cluster: z.object({ id: z.string(), name: z.string() }),
})
export type EnrollResponse = z.infer<typeof EnrollResponse>

/** JWT claims: `aud` is this word, `iss` the agent id, `exp` at most this many seconds after `iat`. */
export const agentAudience = 'porthole-agent-link'
export const agentJwtMaxAge = 60
