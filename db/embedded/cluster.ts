/** The files of one PostgreSQL cluster below `dir`: made whole or not at all, and given to whoever PostgreSQL runs as. */
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Binaries } from './binaries.ts'
import { type Identity, programEnv } from './identity.ts'

const run = promisify(execFile)

export const superuser = 'porthole'

/** Where the server listens and what opens it; kept, so that a restart has the same URL. */
export interface Access {
  port: number
  password: string
}

/** Below 32768, where the kernel's own choices for outgoing connections begin. */
export const newPort = () => randomInt(20_000, 32_000)

export async function readAccess(dir: string): Promise<Access | null> {
  try {
    return JSON.parse(await readFile(join(dir, 'access.json'), 'utf8')) as Access
  } catch {
    return null
  }
}

export async function writeAccess(dir: string, access: Access): Promise<void> {
  const file = join(dir, 'access.json')
  await writeFile(`${file}.new`, JSON.stringify(access), { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** Makes the cluster when there is none. Returns true when it did. */
export async function ensureCluster(dir: string, binaries: Binaries, identity: Identity, durable: boolean): Promise<boolean> {
  const cluster = join(dir, 'cluster')
  if (existsSync(cluster)) {
    await checkCluster(cluster, binaries, identity)
    return false
  }
  for (const left of await readdir(dir))
    if (left.startsWith('making-')) await rm(join(dir, left), { recursive: true, force: true })
  const making = join(dir, `making-${process.pid}`)
  const secret = join(dir, `making-${process.pid}.password`)
  const access: Access = { port: newPort(), password: randomBytes(24).toString('base64url') }
  await writeFile(secret, access.password, { mode: 0o600 })
  await chown(secret, identity.owner, -1)
  const [command, ...args] = [
    ...identity.prefix,
    binaries.initdb,
    ...['-D', making, '-U', superuser, `--pwfile=${secret}`, '--auth=scram-sha-256', '-E', 'UTF8'],
    ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
    ...(durable ? [] : ['--no-sync']),
  ]
  try {
    await run(command!, args, { env: programEnv, cwd: dir })
  } catch (error) {
    await rm(making, { recursive: true, force: true })
    const { stderr, message } = error as Error & { stderr?: string }
    throw new Error(`making the database failed: ${stderr?.trim().split('\n').at(-1) || message}`, { cause: error })
  } finally {
    await rm(secret, { force: true })
  }
  await writeAccess(dir, access)
  await rename(making, cluster)
  return true
}

async function checkCluster(cluster: string, binaries: Binaries, identity: Identity): Promise<void> {
  const owner = (await stat(cluster)).uid
  if (owner !== identity.owner) {
    if (process.getuid!() !== 0)
      throw new Error(
        `${cluster} belongs to another user (uid ${owner}): start as that user, or \`sudo chown -R "$(id -un)"\` it`,
      )
    await run('chown', ['-R', `${identity.owner}:${identity.owner}`, cluster], { env: programEnv })
  }
  const major = (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim()
  if (major !== binaries.major)
    throw new Error(
      `${cluster} was made by PostgreSQL ${major}, this Porthole brings ${binaries.major}: move it away, or set DATABASE_URL`,
    )
}

async function runsOn(pid: number, cluster: string): Promise<boolean> {
  return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === cluster
}

/**
 * Called with the lock held: whoever started the server named in postmaster.pid is dead. That server is on its way out (wait, then
 * push), or its number now belongs to a stranger, who must not make PostgreSQL believe that the cluster is in use.
 */
export async function settleFormerServer(cluster: string, signal?: AbortSignal): Promise<void> {
  const file = join(cluster, 'postmaster.pid')
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0])
  if (!pid) return
  if (!(await runsOn(pid, cluster))) return rm(file, { force: true })
  const deadline = Date.now() + 4000
  for (let kind: NodeJS.Signals = 'SIGINT'; await runsOn(pid, cluster); kind = Date.now() > deadline ? 'SIGKILL' : 'SIGINT') {
    try {
      process.kill(pid, kind)
    } catch {
      break
    }
    await delay(20, undefined, { signal })
  }
  await rm(file, { force: true })
}
