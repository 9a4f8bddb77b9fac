/** A migrated database that is thrown away: in the server of `TEST_DATABASE_URL`, or in an embedded one of its own. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { migrate } from '#db/migrate.ts'

export interface ScratchDatabase extends OpenDatabase {
  url: string
}

export async function scratchDatabase(max = 10): Promise<ScratchDatabase> {
  const server = process.env.TEST_DATABASE_URL
  return server ? inServer(server, max) : inOwnServer(max)
}

async function inServer(server: string, max: number): Promise<ScratchDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const admin = postgres(server, { max: 1, onnotice: () => {} })
  await admin.unsafe(`create database ${name}`)
  const url = server.replace(/\/[^/]*$/, `/${name}`)
  await migrate(url)
  const opened = openDatabase(url, { max, applicationName: 'test' })
  return {
    ...opened,
    url,
    async close() {
      await opened.close()
      await admin.unsafe(`drop database ${name} with (force)`)
      await admin.end({ timeout: 3 })
    },
  }
}

async function inOwnServer(max: number): Promise<ScratchDatabase> {
  const dataDir = mkdtempSync(join(tmpdir(), 'porthole-test-'))
  const server = await startEmbeddedPostgres({ dataDir, durable: false })
  await migrate(server.url)
  const opened = openDatabase(server.url, { max, applicationName: 'test' })
  return {
    ...opened,
    url: server.url,
    async close() {
      await opened.close()
      await server.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
