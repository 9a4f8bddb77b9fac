/**
 * A migrated database of one's own, in some tens of milliseconds:
 *
 *   let database: TestDatabase
 *   beforeAll(async () => { database = await testDatabase() })
 *   afterAll(() => database.drop())
 */
import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { inject } from 'vitest'
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { databaseUrl } from './global-setup.ts'

export interface TestDatabase {
  url: string
  /** Also ends connections that are still open. */
  drop(): Promise<void>
}

export async function testDatabase(): Promise<TestDatabase> {
  const server = inject('testServer')
  const name = `test_${randomBytes(6).toString('hex')}`
  const admin = postgres(server, { max: 1, onnotice: () => {} })
  await admin`create database ${admin(name)} template ${admin(inject('testTemplate'))} strategy file_copy`
  return {
    url: databaseUrl(server, name),
    async drop() {
      await admin`drop database ${admin(name)} with (force)`
      await admin.end({ timeout: 3 })
    },
  }
}

/** The same with a client of at most so many connections; closing drops the database. */
export async function openTestDatabase(max: number): Promise<OpenDatabase> {
  const { url, drop } = await testDatabase()
  const open = openDatabase(url, { max, applicationName: 'test' })
  return {
    ...open,
    async close() {
      await open.close()
      await drop()
    },
  }
}
