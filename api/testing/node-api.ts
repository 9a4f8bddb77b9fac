/** The API as it runs on Node, over a database of its own, with what a tunnel's test needs: clusters, running sessions, tokens, viewers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '#db/client.ts'
import { maxDataMessage } from '#protocol/link-messages.ts'
import { testDatabase } from '../../tests/database.ts'
import { readSettings } from '../node/config.ts'
import { jsonLog } from '../node/log.ts'
import { type RunningApi, startApi } from '../node/start.ts'
import { type PlatformApi, surroundings } from './platform-api.ts'

export interface NodeApi extends PlatformApi, Omit<RunningApi, 'url' | 'close'> {
  /** Another replica on the same database, at an address of its own. */
  replicaOf(env?: Record<string, string>): Promise<RunningApi>
}

export async function nodeApi(
  change: { env?: Record<string, string>; meetingMs?: number; webFolder?: string } = {},
): Promise<NodeApi> {
  const { url: databaseUrl, drop } = await testDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'porthole-api-'))
  const lines: string[] = []
  const replicas: RunningApi[] = []
  const start = async (env: Record<string, string>) => {
    const settings = readSettings(
      { PORT: '0', REPLICA_URL: 'http://127.0.0.1:0', DATABASE_URL: databaseUrl, DATA_DIR: folder, ...change.env, ...env },
      '0.0.0-test',
    )
    if (change.meetingMs) settings.api.meetingMs = change.meetingMs
    const api = await startApi(
      settings,
      jsonLog(line => lines.push(line)),
      change.webFolder,
    )
    replicas.push(api)
    return api
  }
  const api = await start({})
  const { db, close: closeDb } = openDatabase(databaseUrl, { max: 4, applicationName: 'test' })
  const admin = api.adminToken.token

  return {
    ...api,
    maxMessage: maxDataMessage,
    db,
    databaseUrl,
    admin,
    lines,
    replicaOf: (env = {}) => start(env),
    ...surroundings({ url: api.url, db, admin }),
    async close() {
      for (const replica of replicas) await replica.close()
      await closeDb()
      await drop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
