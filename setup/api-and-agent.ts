/** The two parts as children: which file, which environment, which log. */
import { join } from 'node:path'
import type { SetupConfig } from './config.ts'
import { type Part, startPart } from './part.ts'

interface Common {
  config: SetupConfig
  say(line: string): void
  /** false: it runs alone, writes to our output, and its end is ours. */
  restart: boolean
}

const pauses = { firstMs: 200, mostMs: 15_000 }

export function apiPart({ config, say, restart, databaseUrl, port }: Common & { databaseUrl: string; port(): number }): Part {
  return startPart({
    ...common('API', 'api', { config, say, restart }),
    entry: join(config.root, 'api/node/main.ts'),
    environment: () => ({
      ...config.environment,
      PORT: String(port()),
      HOST: config.host,
      DATABASE_URL: databaseUrl,
      DATA_DIR: config.dataDir,
    }),
  })
}

export function agentPart({ config, say, restart, environment }: Common & { environment(): Promise<NodeJS.ProcessEnv> }): Part {
  return startPart({
    ...common('agent', 'agent', { config, say, restart }),
    entry: join(config.root, 'agent/main.ts'),
    environment: async () => {
      // The agent gets to see nothing of the API's database.
      const { DATABASE_URL: _, ...rest } = config.environment
      return { ...rest, ...(await environment()) }
    },
  })
}

function common(name: string, file: string, { config, say, restart }: Common) {
  return {
    name,
    root: config.root,
    say,
    ...(restart ? { log: join(config.dataDir, `${file}.log`) } : {}),
    restart: restart && pauses,
  } as const
}
