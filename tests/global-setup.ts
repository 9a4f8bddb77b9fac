/** One PostgreSQL server for the whole run, with a migrated template that `tests/database.ts` copies for each test file. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { migrate } from '#db/migrate.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the server's maintenance database. */
    testServer: string
    /** Name of the migrated database that nobody connects to. */
    testTemplate: string
  }
}

/** `TEST_DATABASE_URL`: a server to use instead of an embedded one; its user must be allowed to create databases. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL
  const server = given ? { url: given, close: async () => {} } : await embedded()
  const template = `test_template_${randomBytes(6).toString('hex')}`
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  await admin`create database ${admin(template)}`
  await migrate(databaseUrl(server.url, template))
  project.provide('testServer', server.url)
  project.provide('testTemplate', template)
  return async () => {
    await admin`drop database ${admin(template)} with (force)`
    await admin.end({ timeout: 3 })
    await server.close()
  }
}

async function embedded() {
  const dataDir = mkdtempSync(join(tmpdir(), 'porthole-test-'))
  const { url, stop } = await startEmbeddedPostgres({ dataDir, durable: false })
  const close = async () => {
    await stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
  return { url, close }
}

export function databaseUrl(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}
