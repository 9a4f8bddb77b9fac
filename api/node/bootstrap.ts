/**
 * What an empty database needs: the first project and an admin's token, which is also in `$DATA_DIR/admin-token` for whoever may read that file.
 * Replicas that start together make one project; each data folder gets a token that works.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { and, eq } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import { projects, type Quotas, settings, tokens } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { tokenLives } from '../auth.ts'
import { newId } from '../ids.ts'
import type { Log } from '../platform.ts'
import { keyId } from '../sealing.ts'
import { mintUserToken, readUserToken } from '../tokens/format.ts'

const adminUser = 'admin'
const defaultProject = 'prj_default'
const unlimited: Quotas = {
  max_sessions: null,
  max_cpu_millis: null,
  max_memory_bytes: null,
  max_storage_bytes: null,
  max_jobs: null,
  requests_per_minute: null,
}

interface BootstrapEnv {
  db: Db
  dataDir: string
  sha256(data: string): Uint8Array
}

/** Answers the admin token of this data folder and whether it is new. */
export async function bootstrap(env: BootstrapEnv): Promise<{ token: string; made: boolean; file: string }> {
  await mkdir(env.dataDir, { recursive: true, mode: 0o700 })
  const file = join(env.dataDir, 'admin-token')
  return env.db.transaction(async tx => {
    const project = await firstProject(tx)
    const kept = await keptToken(tx, file, env)
    if (kept) {
      await chmod(file, 0o600)
      return { token: kept, made: false, file }
    }
    const token = mintUserToken(project, adminUser)
    const id = newId('tok')
    await tx.insert(tokens).values({
      id,
      project_id: project,
      user_id: adminUser,
      name: 'Administrator',
      hash: env.sha256(token),
      last4: token.slice(-4),
      scopes: ['admin'],
    })
    const actor = { actor: { kind: 'system' }, address: '', requestId: newId('req') } as const
    await recordAudit(tx, actor, { action: 'token.create', target: id, project, detail: { bootstrap: true } })
    await writePrivately(file, `${token}\n`)
    return { token, made: true, file }
  })
}

/** The setting's row is the lock that makes replicas do this one after the other. */
async function firstProject(tx: Tx): Promise<string> {
  await tx.insert(settings).values({ key: 'bootstrap', value: true }).onConflictDoNothing()
  await tx.select().from(settings).where(eq(settings.key, 'bootstrap')).for('update')
  await tx.insert(projects).values({ id: defaultProject, name: 'Default', quotas: unlimited }).onConflictDoNothing()
  return defaultProject
}

async function keptToken(tx: Tx, file: string, env: BootstrapEnv): Promise<string | null> {
  const token = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (!readUserToken(token)) return null
  const [row] = await tx
    .select({ scopes: tokens.scopes })
    .from(tokens)
    .innerJoin(projects, eq(projects.id, tokens.project_id))
    .where(and(eq(tokens.hash, env.sha256(token)), tokenLives))
  return row?.scopes.includes('admin') ? token : null
}

/** Never readable by others, not for a moment, and never half a file. */
async function writePrivately(file: string, text: string): Promise<void> {
  const fresh = `${file}.${randomBytes(6).toString('hex')}`
  const handle = await open(fresh, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(fresh, file)
}

/**
 * What secrets are sealed with: as configured, else a key of this data folder's own. Never in the database; there is only which one was used first,
 * so that a replica with another key says so instead of sealing what the rest cannot open.
 */
export async function secretsKeys(env: Pick<BootstrapEnv, 'db' | 'dataDir'>, configured: string[], log: Log): Promise<string[]> {
  const file = join(env.dataDir, 'secrets-key')
  const keys = configured.length > 0 ? configured : [await keptKey(file)]
  const ids = await Promise.all(keys.map(keyId))
  await env.db.insert(settings).values({ key: 'secrets_key', value: ids[0] }).onConflictDoNothing()
  const [row] = await env.db.select().from(settings).where(eq(settings.key, 'secrets_key'))
  if (!ids.includes(String(row!.value))) {
    log.error('secrets_key_differs', {
      hint: 'set SECRETS_KEY to the same value on every replica; until then this one keeps no secrets',
    })
    return []
  }
  if (ids[0] !== row!.value) await env.db.update(settings).set({ value: ids[0] }).where(eq(settings.key, 'secrets_key'))
  return keys
}

async function keptKey(file: string): Promise<string> {
  const kept = (await readFile(file, 'utf8').catch(() => '')).trim()
  if (kept.length >= 32) return kept
  const fresh = randomBytes(32).toString('base64url')
  await writePrivately(file, `${fresh}\n`)
  return fresh
}

/** What replicas of one installation know each other by. */
export async function peerSecret(db: Db): Promise<string> {
  const fresh = randomBytes(32).toString('base64url')
  await db.insert(settings).values({ key: 'peer_secret', value: fresh }).onConflictDoNothing()
  const [row] = await db.select().from(settings).where(eq(settings.key, 'peer_secret'))
  return String(row!.value)
}
