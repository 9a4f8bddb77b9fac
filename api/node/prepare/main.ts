/**
 * `npm run edge:prepare`: what a Workers installation needs of its database before the first request and after every upgrade: the schema, the
 * catalogue, the first admin token, the key that secrets are sealed with. Wants a direct connection (DATABASE_URL), not the pooled one.
 */
import { join, resolve } from 'node:path'
import { openDatabase } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { loadBuiltinTemplates } from '../../templates/builtin.ts'
import { bootstrap, secretsKeys } from '../bootstrap.ts'
import { readSettings } from '../config.ts'
import { jsonLog } from '../log.ts'
import { sha256 } from '../platform.ts'

async function prepare(): Promise<string[]> {
  const settings = readSettings(process.env, '0.0.0')
  if (!settings.databaseUrl) throw new Error('DATABASE_URL is not set: which database should be prepared?')
  await migrate(settings.databaseUrl)
  const { db, close } = openDatabase(settings.databaseUrl, { max: 2, applicationName: 'porthole-prepare' })
  try {
    const dataDir = resolve(settings.dataDir)
    const { file } = await bootstrap({ db, dataDir, sha256 })
    await loadBuiltinTemplates(db)
    const keys = await secretsKeys({ db, dataDir }, settings.api.secretsKeys, jsonLog())
    if (keys.length === 0) throw new Error('SECRETS_KEY is not the key that this database was used with before')
    return [
      'The database is ready',
      `Admin token: ${file}`,
      settings.api.secretsKeys.length > 0 ? 'Secrets key: SECRETS_KEY' : `Secrets key: ${join(dataDir, 'secrets-key')}`,
    ]
  } finally {
    await close()
  }
}

try {
  for (const line of await prepare()) process.stdout.write(`${line}\n`)
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${message}\n`)
  process.send?.({ type: 'fatal', message })
  process.exitCode = 1
}
process.disconnect?.()
