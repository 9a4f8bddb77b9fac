/** Settings of the API on Node, from the environment. Parsed once by main.ts; every fault is told at once. */
import { z } from 'zod'
import { auditDays } from '../audit/retention.ts'
import { ApiConfig } from '../config.ts'

/** Compose files and charts pass what is not set as an empty string. */
const unset = (value: unknown) => (value === '' ? undefined : value)
const list = z.string().transform(text =>
  text
    .split(',')
    .map(word => word.trim())
    .filter(Boolean),
)

const Environment = z.object({
  PORT: z.preprocess(unset, z.coerce.number().int().min(0).max(65535).default(8080)),
  HOST: z.preprocess(unset, z.string().default('127.0.0.1')),
  DATABASE_URL: z.preprocess(
    unset,
    z.url({ protocol: /^postgres(ql)?$/, error: 'must look like postgres://user:password@host/database' }).optional(),
  ),
  DATABASE_POOL: z.preprocess(unset, z.coerce.number().int().min(2).max(200).default(12)),
  DATA_DIR: z.preprocess(unset, z.string().default('.porthole')),
  PUBLIC_URL: z.preprocess(unset, z.string().optional()),
  AGENT_IMAGES: z.preprocess(unset, z.string().optional()),
  REPLICA_URL: z.preprocess(unset, z.url({ protocol: /^https?$/, error: 'must be an http(s) address' }).optional()),
  /** How long the audit is kept. */
  AUDIT_DAYS: z.preprocess(unset, z.coerce.number().int().min(1).max(36_500).default(auditDays)),
  ALLOWED_ORIGINS: z.preprocess(unset, list.default([])),
  /** Addresses or networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed. */
  TRUSTED_PROXIES: z.preprocess(unset, list.default([])),
  /** Random words of 32 characters or more, the newest first. */
  SECRETS_KEY: z.preprocess(
    unset,
    list.pipe(z.array(z.string().min(32, 'must be random and have at least 32 characters'))).default([]),
  ),
})

export interface NodeSettings {
  port: number
  host: string
  /** null: embedded. */
  databaseUrl: string | null
  databasePool: number
  dataDir: string
  replicaUrl: string | null
  trustedProxies: string[]
  auditDays: number
  api: ApiConfig
}

export class SettingsFault extends Error {
  constructor(faults: readonly string[]) {
    super(`these settings cannot be used:\n${faults.map(fault => `  ${fault}`).join('\n')}`)
    this.name = 'SettingsFault'
  }
}

export function readSettings(env: Record<string, string | undefined>, version: string): NodeSettings {
  const parsed = Environment.safeParse(env)
  const faults = parsed.success ? [] : parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`)
  const api = ApiConfig.safeParse({
    ...(unset(env.PUBLIC_URL) === undefined ? {} : { publicUrl: env.PUBLIC_URL }),
    ...(unset(env.AGENT_IMAGES) === undefined ? {} : { agentImages: env.AGENT_IMAGES }),
    ...(parsed.success ? { allowedOrigins: parsed.data.ALLOWED_ORIGINS, secretsKeys: parsed.data.SECRETS_KEY } : {}),
    version,
  })
  if (!api.success)
    faults.push(...api.error.issues.map(issue => `${envName[String(issue.path[0])] ?? issue.path.join('.')}: ${issue.message}`))
  if (!parsed.success || !api.success) throw new SettingsFault(faults)
  const { data } = parsed
  return {
    port: data.PORT,
    host: data.HOST,
    databaseUrl: data.DATABASE_URL ?? null,
    databasePool: data.DATABASE_POOL,
    dataDir: data.DATA_DIR,
    replicaUrl: data.REPLICA_URL ?? null,
    trustedProxies: data.TRUSTED_PROXIES,
    auditDays: data.AUDIT_DAYS,
    api: api.data,
  }
}

const envName: Record<string, string> = {
  publicUrl: 'PUBLIC_URL',
  agentImages: 'AGENT_IMAGES',
  allowedOrigins: 'ALLOWED_ORIGINS',
}
