/** The API as it runs on Workers: the real bundle in workerd, over a database of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openDatabase } from '#db/client.ts'
import { startWorkerd, type Workerd } from '../../setup/edge/workerd.ts'
import { freePort } from '../../setup/port.ts'
import { testDatabase } from '../../tests/database.ts'
import { bootstrap } from '../node/bootstrap.ts'
import { sha256 } from '../node/platform.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type PlatformApi, surroundings } from './platform-api.ts'

export interface EdgeApi extends PlatformApi {
  workerd: Workerd
}

export async function edgeApi(vars: Record<string, string> = {}): Promise<EdgeApi> {
  const { url: databaseUrl, drop } = await testDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'porthole-edge-'))
  const { db, close: closeDb } = openDatabase(databaseUrl, { max: 4, applicationName: 'test' })
  const { token: admin } = await bootstrap({ db, dataDir: folder, sha256 })
  await loadBuiltinTemplates(db)
  const lines: string[] = []
  const port = await freePort('127.0.0.1')
  const url = `http://127.0.0.1:${port}`
  const workerd = await startWorkerd({
    root: resolve(import.meta.dirname, '../..'),
    databaseUrl,
    host: '127.0.0.1',
    port,
    vars: { PUBLIC_URL: url, SECRETS_KEY: 'test '.repeat(8), ...vars },
    log: line => lines.push(line),
  })
  return {
    // workerd's own.
    maxMessage: 32 * 1024 * 1024,
    url,
    db,
    databaseUrl,
    admin,
    lines,
    workerd,
    ...surroundings({ url, db, admin }),
    async close() {
      await workerd.stop()
      await closeDb()
      await drop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
