/** The local agent's way in: with the admin token of this machine, the cluster `local` is found or made, and a join token for it. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { Told } from './config.ts'

const name = 'local'
const Enrolled = z.object({ enrolled: z.object({ cluster: z.object({ id: z.string() }) }) })
const Enrollment = z.object({ enrollment: z.object({ token: z.string() }) })
const Clusters = z.object({
  data: z.array(z.object({ id: z.string(), name: z.string() })),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
})

export interface EnrolmentParts {
  /** Where the API answers. */
  url: string
  adminToken: string
  /** Of the agent; holds `key.json`. */
  agentDir: string
  fetch?: typeof fetch
}

/** null: the agent has a key that the API's cluster belongs to. */
export async function localJoinToken({ url, adminToken, agentDir, fetch: ask = fetch }: EnrolmentParts): Promise<string | null> {
  const keyFile = join(agentDir, 'key.json')
  const enrolledIn = await readEnrolment(keyFile)
  const clusters = await listClusters()
  if (enrolledIn && clusters.some(cluster => cluster.id === enrolledIn)) return null
  // A key for a cluster that this API does not have: the database is another one than it was.
  if (enrolledIn) await rm(keyFile, { force: true })
  const local = clusters.find(cluster => cluster.name === name)
  const path = local ? `/v1/clusters/${local.id}/enroll` : '/v1/clusters'
  const answer = Enrollment.parse(await call('POST', path, local ? {} : { name }))
  return answer.enrollment.token

  async function listClusters() {
    const found: z.infer<typeof Clusters>['data'] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = Clusters.parse(await call('GET', `/v1/clusters?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`))
      found.push(...page.data)
      cursor = page.has_more ? page.next_cursor : null
    }
    return found
  }

  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await ask(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${adminToken}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    })
    if (!response.ok)
      throw new Told(`Enrolling the local agent failed: ${method} ${path} answered ${response.status} ${await response.text()}`)
    return response.json()
  }
}

async function readEnrolment(file: string): Promise<string | null> {
  try {
    return Enrolled.parse(JSON.parse(await readFile(file, 'utf8'))).enrolled.cluster.id
  } catch {
    return null
  }
}
