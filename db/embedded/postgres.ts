/**
 * A real PostgreSQL server of our own, in a folder: for `npm start`, development and tests. It listens on 127.0.0.1 only, and
 * on a Unix socket in its folder, with a random password, and lives exactly as long as the process that started it.
 */
import { closeSync, fstatSync, mkdirSync, openSync, realpathSync, renameSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import postgres from 'postgres'
import { findBinaries } from './binaries.ts'
import { type Access, ensureCluster, newPort, readAccess, settleFormerServer, superuser, writeAccess } from './cluster.ts'
import { holdDataDir } from './data-dir-lock.ts'
import { type Guarded, guard } from './guardian.ts'
import { chooseIdentity, currentCaller, type Identity, identitiesFor } from './identity.ts'

export { DataDirInUse } from './data-dir-lock.ts'

export interface EmbeddedOptions {
  /** Made when absent; holds the cluster, its log and its password, and nothing else. */
  dataDir: string
  /** One short line for people at each step that takes a moment. */
  log?: (line: string) => void
  /** false: no fsync. For databases that are thrown away, never for a person's. */
  durable?: boolean
  /** Ways to try, best first, instead of those of this process's user. */
  identities?: Identity[]
  signal?: AbortSignal
}

export interface EmbeddedPostgres {
  url: string
  /** The same over its Unix socket, for this machine's own programs that come through `connect`; `url` where there can be none. */
  localUrl: string
  /** How it got around running as root; for the log. */
  way: Identity['way']
  /** Resolves when the server has ended, asked or not. */
  ended: Promise<number>
  /** Closes connections and ends the server cleanly, in about 2 s at most. Calling it again is harmless. */
  stop(): Promise<void>
}

/** Throws `DataDirInUse` while another process runs a server on `dataDir`. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { log = () => {}, durable = true, signal } = options
  const binaries = findBinaries()
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  const dir = realpathSync(options.dataDir)
  const hold = holdDataDir(dir)
  try {
    const identity = await chooseIdentity(binaries.postgres, dir, options.identities ?? identitiesFor(currentCaller()))
    const cluster = join(dir, 'cluster')
    await settleFormerServer(cluster, signal)
    if (await ensureCluster(dir, binaries, identity, durable)) log(`made a PostgreSQL ${binaries.major} database in ${dir}`)
    const access = await readAccess(dir)
    if (!access)
      throw new Error(
        `${dir} holds a database, but its password in access.json is gone: move the folder away, or bring the file back`,
      )
    const { server, port, socket } = await startServer({
      ...access,
      dir,
      cluster,
      identity,
      program: binaries.postgres,
      durable,
      signal,
    })
    if (port !== access.port) await writeAccess(dir, { ...access, port })
    server.ended.then(() => hold.release())
    const stop = async () => {
      server.stop()
      await server.ended
    }
    const url = `postgres://${superuser}:${access.password}@127.0.0.1:${port}/${superuser}`
    try {
      await ensureDatabase(url)
    } catch (error) {
      await stop()
      throw error
    }
    const localUrl = socket ? `${url}?host=${encodeURIComponent(cluster)}` : url
    return { url, localUrl, way: identity.way, ended: server.ended, stop }
  } catch (error) {
    hold.release()
    throw error
  }
}

interface Launch extends Access {
  dir: string
  cluster: string
  identity: Identity
  program: string
  durable: boolean
  signal?: AbortSignal
}

/** Bytes, with its end; the least of the systems we know (Linux: 108). */
const longestSocketPath = 104

async function startServer(launch: Launch): Promise<{ server: Guarded; port: number; socket: boolean }> {
  let { port } = launch
  let socket = Buffer.byteLength(`${launch.cluster}/.s.PGSQL.65535`) < longestSocketPath
  for (let attempt = 1; ; attempt++) {
    const fd = openLog(launch.dir)
    const from = fstatSync(fd).size
    const server = guard(launch.identity.prefix, [launch.program, ...settings(launch, port, socket)], launch.cluster, fd)
    closeSync(fd)
    if (await becomesReady(server, launch.cluster, launch.signal)) return { server, port, socket }
    const said = (await readFile(join(launch.dir, 'postgres.log'), 'utf8')).slice(from)
    // Not every file system has sockets.
    if (attempt < 5 && socket && /could not create any Unix-domain sockets/.test(said)) socket = false
    else if (attempt < 5 && /could not create any TCP\/IP sockets/.test(said)) port = newPort()
    // Backends of a server that was killed outright need a moment to notice.
    else if (attempt < 5 && /shared memory block .* is still in use/.test(said))
      await delay(200, undefined, { signal: launch.signal })
    else throw new Error(`PostgreSQL did not start: ${lastFault(said)} (all of it: ${join(launch.dir, 'postgres.log')})`)
  }
}

function settings({ cluster, durable }: Launch, port: number, socket: boolean): string[] {
  const values = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: socket ? `"${cluster}"` : '',
    fsync: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    max_connections: 200,
    // One person's database: less WAL to keep, and disk is given back.
    max_wal_size: '256MB',
  }
  return ['-D', cluster, ...Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

/** The server writes its state into line 8 of postmaster.pid; this is also what pg_ctl waits for. */
async function becomesReady(server: Guarded, cluster: string, signal?: AbortSignal): Promise<boolean> {
  let over = false
  server.ended.then(() => {
    over = true
  })
  while (!over) {
    if (signal?.aborted) {
      server.stop()
      await server.ended
      signal.throwIfAborted()
    }
    const lines = (await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    if (lines[7]?.trim() === 'ready') return true
    await delay(10)
  }
  return false
}

async function ensureDatabase(url: string): Promise<void> {
  const sql = postgres(url.replace(/\/[^/]*$/, '/postgres'), { max: 1, fetch_types: false, onnotice: () => {} })
  try {
    const [found] = await sql`select 1 from pg_database where datname = ${superuser}`
    if (!found) await sql`create database ${sql(superuser)}`
  } finally {
    await sql.end()
  }
}

function openLog(dir: string): number {
  const file = join(dir, 'postgres.log')
  const fd = openSync(file, 'a', 0o600)
  if (fstatSync(fd).size < 4 << 20) return fd
  closeSync(fd)
  renameSync(file, `${file}.1`)
  return openSync(file, 'a', 0o600)
}

function lastFault(said: string): string {
  const lines = said.trim().split('\n')
  return (lines.findLast(line => /FATAL|PANIC|ERROR/.test(line)) ?? lines.at(-1) ?? 'it said nothing').replace(
    /^.*?(FATAL|PANIC|ERROR): +/,
    '',
  )
}
