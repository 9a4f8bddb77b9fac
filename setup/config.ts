/** What the environment says about running on this machine; the only file of this room that reads it. */
import { resolve } from 'node:path'
import { z } from 'zod'

const count = (least: number, most: number, what: string) =>
  z.coerce
    .number({ error: `must be ${what} from ${least} to ${most}` })
    .int()
    .min(least)
    .max(most)
const Environment = z.object({
  PORT: count(0, 65_535, 'a port').default(8080),
  HOST: z.string().default('127.0.0.1'),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// address' }).optional(),
  DATA_DIR: z.string().default('.porthole'),
  WARM_POOL: count(0, 100, 'a number').optional(),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) address' }).optional(),
})

export interface SetupConfig {
  port: number
  host: string
  databaseUrl: string | undefined
  /** Absolute. */
  dataDir: string
  publicUrl: string | undefined
  /** Browsers kept warm from the first start on; null: by this machine's memory. */
  warmPool: number | null
  /** Root of the checkout. */
  root: string
  /** Passed on to the parts, with ours on top. */
  environment: NodeJS.ProcessEnv
}

/** A fault that people read as one line, without a stack. */
export class Told extends Error {}

export function readSetupConfig(environment: NodeJS.ProcessEnv = process.env): SetupConfig {
  // An empty variable is a variable nobody set.
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const parsed = Environment.safeParse(set)
  if (!parsed.success)
    throw new Told(
      parsed.error.issues.map(({ path, message }) => `${path.join('.')}=${set[String(path[0])]}: ${message}`).join('\n'),
    )
  const { PORT, HOST, DATABASE_URL, DATA_DIR, PUBLIC_URL, WARM_POOL } = parsed.data
  const root = resolve(import.meta.dirname, '..')
  return {
    port: PORT,
    host: HOST,
    databaseUrl: DATABASE_URL,
    dataDir: resolve(root, DATA_DIR),
    publicUrl: PUBLIC_URL,
    warmPool: WARM_POOL ?? null,
    root,
    environment: set,
  }
}
