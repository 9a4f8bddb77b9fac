/** Audit records as CSV (RFC 4180), safe to open in a spreadsheet: a cell that would be a formula is quoted as text. */
import type { AuditRecord } from './routes.ts'

const columns = [
  'created_at',
  'project',
  'actor_kind',
  'actor',
  'token',
  'action',
  'target',
  'outcome',
  'address',
  'request_id',
  'detail',
  'id',
] as const
export const csvHead = `${columns.join(',')}\r\n`

export function csvLine(record: AuditRecord): string {
  const { actor } = record
  const cells = [
    record.created_at,
    record.project,
    actor.kind,
    actor.id,
    actor.token,
    record.action,
    record.target,
    record.outcome,
    record.address,
    record.request_id,
    JSON.stringify(record.detail),
    record.id,
  ]
  return `${cells.map(cell).join(',')}\r\n`
}

function cell(value: string | null): string {
  if (value === null) return ''
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
