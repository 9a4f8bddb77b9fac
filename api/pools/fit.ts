/**
 * What makes a warm session the one that somebody asks for: everything that cannot be changed under a living session. Display, environment,
 * labels, start_url and the rest are given to it when it is taken (agent/sessions/late-settings.ts).
 */
import type { PoolOverrides } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { SessionCreate } from '../sessions/schema.ts'
import { buildSpec } from '../sessions/spec.ts'
import type { TemplateBody } from '../templates/schema.ts'

/** Equal words: one can stand for the other. */
export function fitOf(spec: SessionSpec): string {
  const { kind, image, command, browser, headless, limits, requests, egress } = spec
  return JSON.stringify(sorted({ kind, image, command, browser, headless, limits, requests, egress }))
}

/** A volume is mounted, and a recording begun, with the session itself. */
export function canComeWarm(spec: SessionSpec): boolean {
  return !spec.volume && !spec.recording
}

/** Nobody's yet: no owner, no labels, and a blank page. */
export function warmSpec(template: { id: string; body: TemplateBody }, overrides: PoolOverrides): SessionSpec {
  const input = SessionCreate.parse({ template: template.id, ...overrides })
  const { spec } = buildSpec(template, input, { project: 'pool', user: 'pool' })
  const { start_url: _, ...rest } = spec
  return { ...rest, start_url_wait: 'none', labels: {}, recording: false }
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, sorted(each)]))
}
