/** A migrated database that is thrown away, opened the way the API opens its own. */
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { testDatabase } from '../../tests/database.ts'

export interface ScratchDatabase extends OpenDatabase {
  url: string
}

export async function scratchDatabase(max = 10): Promise<ScratchDatabase> {
  const { url, drop } = await testDatabase()
  const opened = openDatabase(url, { max, applicationName: 'test' })
  return {
    ...opened,
    url,
    async close() {
      await opened.close()
      await drop()
    },
  }
}
