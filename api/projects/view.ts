/** Row and use -> the JSON of a project, its limits, and what is left of them. */
import type { InferSelectModel } from 'drizzle-orm'
import type { projects, Quotas } from '#db/schema.ts'
import { bytesQuantity, cpuMillis, cpuQuantity, storageBytes } from '../templates/quantity.ts'
import type { ToldUsage } from './quotas.ts'
import type { Limits, Project, QuotasInput, UsageFigures } from './schema.ts'

export type ProjectRow = InferSelectModel<typeof projects>

const orNull = <T>(amount: number | null | undefined, show: (amount: number) => T): T | null =>
  amount === null || amount === undefined ? null : show(amount)

export function limitsView(quotas: Quotas): Limits {
  return {
    max_sessions: quotas.max_sessions ?? null,
    max_cpu: orNull(quotas.max_cpu_millis, cpuQuantity),
    max_memory: orNull(quotas.max_memory_bytes, bytesQuantity),
    max_storage: orNull(quotas.max_storage_bytes, bytesQuantity),
    max_jobs: quotas.max_jobs ?? null,
    requests_per_minute: quotas.requests_per_minute ?? null,
    max_streams: quotas.max_streams ?? null,
    max_sessions_per_user: quotas.max_sessions_per_user ?? null,
    max_streams_per_user: quotas.max_streams_per_user ?? null,
  }
}

export function remainingOf(quotas: Quotas, usage: ToldUsage): Quotas {
  const left = (max: number | null | undefined, used: number) => ((max ?? null) === null ? null : Math.max(0, max! - used))
  return {
    ...quotas,
    max_sessions: left(quotas.max_sessions, usage.sessions),
    max_cpu_millis: left(quotas.max_cpu_millis, usage.cpu_millis),
    max_memory_bytes: left(quotas.max_memory_bytes, usage.memory_bytes),
    max_storage_bytes: left(quotas.max_storage_bytes, usage.storage_bytes),
    max_jobs: left(quotas.max_jobs, usage.jobs),
    max_streams: left(quotas.max_streams, usage.streams),
  }
}

export function usageView(usage: ToldUsage): UsageFigures {
  return {
    sessions: usage.sessions,
    cpu: cpuQuantity(usage.cpu_millis),
    memory: bytesQuantity(usage.memory_bytes),
    storage: bytesQuantity(usage.storage_bytes),
    jobs: usage.jobs,
    streams: usage.streams,
  }
}

export function projectView(row: ProjectRow, usage: ToldUsage): Project {
  return {
    id: row.id,
    object: 'project',
    name: row.name,
    quotas: limitsView(row.quotas),
    usage: usageView(usage),
    suspended_at: row.suspended_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  }
}

export const unlimited: Quotas = {
  max_sessions: null,
  max_cpu_millis: null,
  max_memory_bytes: null,
  max_storage_bytes: null,
  max_jobs: null,
  requests_per_minute: null,
}

/** Lays what was given over what is; absent: as it is. The schema has checked the quantities. */
export function withQuotas(quotas: Quotas, given: QuotasInput): Quotas {
  const amount = (text: string | null, parse: (text: string) => number) => (text === null ? null : text === '0' ? 0 : parse(text))
  return {
    ...quotas,
    ...(given.max_sessions === undefined ? {} : { max_sessions: given.max_sessions }),
    ...(given.max_cpu === undefined ? {} : { max_cpu_millis: amount(given.max_cpu, cpuMillis) }),
    ...(given.max_memory === undefined ? {} : { max_memory_bytes: amount(given.max_memory, storageBytes) }),
    ...(given.max_storage === undefined ? {} : { max_storage_bytes: amount(given.max_storage, storageBytes) }),
    ...(given.max_jobs === undefined ? {} : { max_jobs: given.max_jobs }),
    ...(given.max_streams === undefined ? {} : { max_streams: given.max_streams }),
    ...(given.max_sessions_per_user === undefined ? {} : { max_sessions_per_user: given.max_sessions_per_user }),
    ...(given.max_streams_per_user === undefined ? {} : { max_streams_per_user: given.max_streams_per_user }),
    ...(given.requests_per_minute === undefined ? {} : { requests_per_minute: given.requests_per_minute }),
  }
}
