/**
 * Who dials a control link: a JWT signed with the key that the agent registered when it enrolled. Every cause of a refusal gives the same
 * 401. `kid` only chooses the key; the signature is what counts.
 */
import { eq } from 'drizzle-orm'
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import type { Db } from '#db/client.ts'
import { clusters } from '#db/schema.ts'
import { agentAudience, agentJwtMaxAge } from '#protocol/agent-identity.ts'
import { bearerOf, unauthorized } from '../auth.ts'
import type { LinkAgent } from '../tunnel/link-port.ts'

/** Two machines' clocks are compared here and nowhere else; the answer's `Date` header lets an agent see that its own is off. */
const clockTolerance = 30
const maxJwtLength = 4096

export async function verifyAgent(db: Db, headers: Headers, now = new Date()): Promise<LinkAgent> {
  const jwt = bearerOf(headers)
  if (jwt === null || jwt.length > maxJwtLength) throw unauthorized()
  const id = agentNamedBy(jwt)
  const [row] = await db
    .select({ id: clusters.id, name: clusters.name, key: clusters.agent_public_key })
    .from(clusters)
    .where(eq(clusters.agent_id, id))
  if (!row?.key) throw unauthorized()
  try {
    const { payload } = await jwtVerify(jwt, await importJWK(row.key, 'EdDSA'), {
      algorithms: ['EdDSA'],
      audience: agentAudience,
      issuer: id,
      requiredClaims: ['exp', 'iat'],
      maxTokenAge: agentJwtMaxAge,
      clockTolerance,
      currentDate: now,
    })
    if (payload.exp! - payload.iat! > agentJwtMaxAge || payload.exp! < payload.iat!) throw unauthorized()
  } catch {
    throw unauthorized()
  }
  return { id, cluster: row.id, clusterName: row.name }
}

function agentNamedBy(jwt: string): string {
  try {
    const { kid } = decodeProtectedHeader(jwt)
    if (typeof kid === 'string' && kid.length <= 64) return kid
  } catch {
    // told below
  }
  throw unauthorized()
}
