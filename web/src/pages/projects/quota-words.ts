/** Quotas as a form and as meters. Pure. */
import type { Project, ProjectPatch } from '../../api/contract.ts'
import { amountOf, bytes, cores } from '../../format/quantity.ts'

type Quotas = Project['quotas']
type Use = Project['usage']

export interface QuotaField {
  key: keyof Quotas
  label: string
  hint: string
  kind: 'count' | 'quantity'
  placeholder: string
}

export const quotaFields: readonly QuotaField[] = [
  { key: 'max_sessions', label: 'Sessions', hint: 'Queued ones count, too.', kind: 'count', placeholder: '20' },
  { key: 'max_jobs', label: 'Jobs', hint: 'Queued and running.', kind: 'count', placeholder: '10' },
  { key: 'max_cpu', label: 'CPU', hint: 'Cores: 8, or 500m.', kind: 'quantity', placeholder: '8' },
  { key: 'max_memory', label: 'Memory', hint: 'As 16Gi.', kind: 'quantity', placeholder: '16Gi' },
  { key: 'max_storage', label: 'Storage', hint: 'As 100Gi.', kind: 'quantity', placeholder: '100Gi' },
  { key: 'requests_per_minute', label: 'Requests a minute', hint: 'Beyond it: 429.', kind: 'count', placeholder: '600' },
  { key: 'max_streams', label: 'Streams', hint: 'Open at once.', kind: 'count', placeholder: '200' },
  { key: 'max_sessions_per_user', label: 'Sessions per user', hint: '', kind: 'count', placeholder: '5' },
  { key: 'max_streams_per_user', label: 'Streams per user', hint: '', kind: 'count', placeholder: '50' },
]

export type QuotaDraft = Record<keyof Quotas, string>

export function draftOf(quotas: Quotas | null): QuotaDraft {
  const text = (key: keyof Quotas) => (quotas?.[key] === null || quotas?.[key] === undefined ? '' : String(quotas[key]))
  return {
    max_sessions: text('max_sessions'),
    max_cpu: text('max_cpu'),
    max_memory: text('max_memory'),
    max_storage: text('max_storage'),
    max_jobs: text('max_jobs'),
    requests_per_minute: text('requests_per_minute'),
    max_streams: text('max_streams'),
    max_sessions_per_user: text('max_sessions_per_user'),
    max_streams_per_user: text('max_streams_per_user'),
  }
}

/** Only what was changed is sent; an empty field lifts the limit. */
export function quotaRequest(draft: QuotaDraft, before: Quotas | null): { body: ProjectPatch; faults: Map<string, string> } {
  const faults = new Map<string, string>()
  const body: Record<string, number | string | null> = {}
  const old = draftOf(before)
  for (const { key, kind } of quotaFields) {
    const text = draft[key].trim()
    if (text === old[key]) continue
    if (text === '') body[key] = null
    else if (kind === 'quantity') {
      if (amountOf(text) === null) faults.set(key, 'A number with a unit, as 500m, 8, 16Gi.')
      body[key] = text
    } else {
      if (!/^\d{1,7}$/.test(text)) faults.set(key, 'A whole number, or nothing.')
      body[key] = Number(text)
    }
  }
  return { body: body as ProjectPatch, faults }
}

export interface UseLine {
  name: string
  used: number | null
  limit: number | null
  show: (value: number) => string
}

export function useLines(quotas: Quotas, usage: Use): UseLine[] {
  const plain = (value: number) => String(Math.round(value))
  const ofCores = (value: number) => cores(Math.round(value * 1000))
  return [
    { name: 'Sessions', used: usage.sessions, limit: quotas.max_sessions, show: plain },
    { name: 'CPU', used: amountOf(usage.cpu), limit: amountOf(quotas.max_cpu), show: ofCores },
    { name: 'Memory', used: amountOf(usage.memory), limit: amountOf(quotas.max_memory), show: bytes },
    { name: 'Storage', used: amountOf(usage.storage), limit: amountOf(quotas.max_storage), show: bytes },
    { name: 'Jobs', used: usage.jobs, limit: quotas.max_jobs, show: plain },
  ]
}
