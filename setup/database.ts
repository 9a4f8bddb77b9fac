/** The database of a start: the one of DATABASE_URL, or an embedded one in DATA_DIR that is started again should it die. */
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#db/embedded/postgres.ts'
import { type SetupConfig, Told } from './config.ts'

export interface Database {
  url: string
  /** The same, the nearest way from this machine. */
  localUrl: string
  /** Resolves when it is lost for good; why has been said. */
  lost: Promise<void>
  stop(): Promise<void>
}

export async function openDatabaseServer(
  config: SetupConfig,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Database> {
  if (config.databaseUrl)
    return { url: config.databaseUrl, localUrl: config.databaseUrl, lost: new Promise(() => {}), stop: async () => {} }
  const dataDir = join(config.dataDir, 'postgres')
  const launch = () => startEmbeddedPostgres({ dataDir, signal, log: () => say('Made the database') })
  let server: EmbeddedPostgres = await launch().catch(error => {
    throw signal.aborted ? error : new Told(`The database does not start: ${error.message}`)
  })
  const { url, localUrl } = server
  let stopping = false
  const lost = watch()
  return {
    url,
    localUrl,
    lost,
    async stop() {
      stopping = true
      await server.stop()
    },
  }

  async function watch(): Promise<void> {
    for (;;) {
      const code = await server.ended
      if (stopping) return
      say(`The database ended with code ${code}; starting it again`)
      try {
        server = await launch()
      } catch (error) {
        return say(`The database does not start: ${(error as Error).message}`)
      }
      // The others know it by its address.
      if (stopping || server.localUrl !== localUrl) return server.stop()
    }
  }
}
