/** Template + what the user asked -> the exact spec of generation 1. Pure: the same input gives the same spec. */
import type { SessionSpec } from '#protocol/session-spec.ts'
import { invalid, Problem } from '../problem.ts'
import { askedBytes, cpuMillis } from '../templates/quantity.ts'
import { overridableFields, type TemplateBody } from '../templates/schema.ts'
import type { SessionCreate } from './schema.ts'

export interface BuiltSpec {
  spec: SessionSpec
  /** As shown: the template's limits with the user's over them. */
  resources: { cpu?: string; memory?: string; storage?: string }
  /** What it takes of the project's quotas. */
  takes: { cpu_millis: number; memory_bytes: number; storage_bytes: number }
  ttl_seconds: number | null
  idle_timeout_seconds: number | null
}

const defaults = {
  display: { width: 1280, height: 720 },
  start_timeout_seconds: 120,
}

export function buildSpec(
  template: { id: string; body: TemplateBody },
  input: SessionCreate,
  owner: { project: string; user: string },
): BuiltSpec {
  const { body } = template
  if (input.browser && body.kind !== 'browser') throw invalid('/browser', `The template ${template.id} runs no browser.`)
  if (input.start_url && body.kind !== 'browser') throw invalid('/start_url', `The template ${template.id} runs no browser.`)
  if (input.headless && body.kind !== 'browser') throw invalid('/headless', 'Only browser sessions can run without a display.')
  refuseClosedFields(template, input)
  const resources = dropUndefined({ ...body.resources, ...dropUndefined(input.resources ?? {}) })
  const limits = amounts(resources, '/resources')
  const requests = amounts(dropUndefined(body.requests ?? {}), '/requests')
  const start_url = input.start_url ?? body.start_url
  const browser = input.browser ?? body.browser ?? 'chromium'
  const ttl = input.ttl_seconds === undefined ? (body.ttl_seconds ?? null) : input.ttl_seconds
  const idle = input.idle_timeout_seconds === undefined ? (body.idle_timeout_seconds ?? null) : input.idle_timeout_seconds
  const egress = input.egress ?? body.egress
  return {
    spec: {
      kind: body.kind,
      template: template.id,
      project: owner.project,
      user: owner.user,
      name: input.name ?? null,
      ...(body.image ? { image: body.image } : {}),
      ...(body.command ? { command: body.command } : {}),
      ...(body.kind === 'browser' ? { browser } : {}),
      headless: input.headless ?? body.headless ?? false,
      display: input.display ?? body.display ?? defaults.display,
      ...(start_url ? { start_url } : {}),
      start_url_wait: input.start_url_wait ?? body.start_url_wait ?? 'none',
      env: { ...body.env, ...input.env },
      labels: { ...body.labels, ...input.labels },
      limits,
      requests,
      ports: body.ports ?? [],
      restart: body.restart ?? 'never',
      start_timeout_ms: (input.start_timeout_seconds ?? body.start_timeout_seconds ?? defaults.start_timeout_seconds) * 1000,
      clipboard: input.clipboard ?? body.clipboard ?? 'both',
      egress: { mode: egress?.mode ?? 'public', allow: egress?.allow ?? [] },
      recording: input.recording ?? body.recording ?? false,
    },
    resources,
    takes: {
      cpu_millis: limits.cpu_millis ?? 0,
      memory_bytes: limits.memory_bytes ?? 0,
      storage_bytes: limits.storage_bytes ?? 0,
    },
    ttl_seconds: ttl,
    idle_timeout_seconds: idle,
  }
}

/** A template may close fields to its users. */
function refuseClosedFields({ id, body }: { id: string; body: TemplateBody }, input: SessionCreate): void {
  if (!body.overridable) return
  for (const field of overridableFields) {
    if (input[field] === undefined || input[field] === null || body.overridable.includes(field)) continue
    throw invalid(`/${field}`, `The template ${id} does not let this be set.`)
  }
}

/** Kubernetes quantities -> whole units; 422 with the field's pointer. */
export function amounts(given: { cpu?: string; memory?: string; storage?: string }, pointer: string) {
  const read = (key: 'cpu' | 'memory' | 'storage', parse: (text: string) => number) => {
    const text = given[key]
    if (text === undefined) return undefined
    try {
      return parse(text)
    } catch (error) {
      throw new Problem('invalid', `${key}: ${(error as Error).message}`, {
        errors: [{ pointer: `${pointer}/${key}`, detail: (error as Error).message }],
      })
    }
  }
  return dropUndefined({
    cpu_millis: read('cpu', cpuMillis),
    memory_bytes: read('memory', askedBytes),
    storage_bytes: read('storage', askedBytes),
  })
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
function dropUndefined<T extends object>(given: T): Defined<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>
}
