/** The form of a new session as data: what the person chose, and the request it becomes. Pure. */
import type { Cluster, CreateSession, Display, Template } from '../../api/contract.ts'
import { amountOf, bytes, cores } from '../../format/quantity.ts'
import { duration } from '../../format/time.ts'

export type Size = 'template' | '1280x720' | '1440x900' | '1920x1080' | '390x844' | 'custom'
export type Span = 'template' | '900' | '3600' | '14400' | '28800' | '86400' | 'custom'

export interface SessionDraft {
  template: string
  name: string
  startUrl: string
  size: Size
  width: string
  height: string
  ttl: Span
  ttlMinutes: string
  idle: Span
  idleMinutes: string
  headless: boolean
  recording: boolean
  browser: string
  cluster: string
  cpu: string
  memory: string
  labels: string
  volume: string
  clipboard: '' | NonNullable<CreateSession['clipboard']>
  egress: '' | NonNullable<CreateSession['egress']>['mode']
  /** `NAME=value`, one a line. */
  env: string
}

export const emptyDraft: SessionDraft = {
  template: '',
  name: '',
  startUrl: '',
  size: 'template',
  width: '1280',
  height: '720',
  ttl: 'template',
  ttlMinutes: '90',
  idle: 'template',
  idleMinutes: '30',
  headless: false,
  recording: false,
  browser: '',
  cluster: '',
  cpu: '',
  memory: '',
  labels: '',
  volume: '',
  clipboard: '',
  egress: '',
  env: '',
}

export interface Request {
  body: CreateSession
  /** By API field name, as the API's own faults are. */
  faults: ReadonlyMap<string, string>
}

export function requestOf(draft: SessionDraft, kind: Template['kind']): Request {
  const faults = new Map<string, string>()
  const body: CreateSession = { template: draft.template }
  if (!draft.template) faults.set('template', 'Choose what to start.')
  const name = draft.name.trim()
  if (name) body.name = name
  if (kind === 'browser') {
    const url = addressOf(draft.startUrl)
    if (url) body.start_url = url
    if (draft.browser) body.browser = draft.browser as NonNullable<CreateSession['browser']>
    if (draft.headless) body.headless = true
  }
  if (!(kind === 'browser' && draft.headless)) {
    const display = displayOf(draft, faults)
    if (display) body.display = display
    if (draft.recording) body.recording = true
  }
  const ttl = secondsOf(draft.ttl, draft.ttlMinutes, 'ttl_seconds', faults)
  if (ttl !== undefined) body.ttl_seconds = ttl
  const idle = secondsOf(draft.idle, draft.idleMinutes, 'idle_timeout_seconds', faults)
  if (idle !== undefined) body.idle_timeout_seconds = idle
  if (draft.cluster) body.cluster = draft.cluster
  const resources = {
    ...(draft.cpu.trim() ? { cpu: draft.cpu.trim() } : {}),
    ...(draft.memory.trim() ? { memory: draft.memory.trim() } : {}),
  }
  if (Object.keys(resources).length > 0) body.resources = resources
  if (draft.volume) body.volume = draft.volume
  if (draft.clipboard) body.clipboard = draft.clipboard
  if (draft.egress) body.egress = { mode: draft.egress }
  const env = envOf(draft.env, faults)
  if (Object.keys(env).length > 0) body.env = env
  const labels = labelsOf(draft.labels, faults)
  if (Object.keys(labels).length > 0) body.labels = labels
  return { body, faults }
}

/** People type `example.com`; the API wants a whole address. Other schemes go through as typed, for the API to judge. */
export function addressOf(typed: string): string {
  const text = typed.trim()
  if (!text || /^[a-z][a-z0-9+.-]*:(?!\d)/i.test(text)) return text
  return /^(localhost|\d{1,3}(\.\d{1,3}){3})(:\d+)?(\/|$)/.test(text) ? `http://${text}` : `https://${text}`
}

function displayOf(draft: SessionDraft, faults: Map<string, string>): Display | null {
  if (draft.size === 'template') return null
  const [width, height] = (draft.size === 'custom' ? [draft.width, draft.height] : draft.size.split('x')).map(Number)
  const whole = (value: number | undefined, least: number, most: number) =>
    value !== undefined && Number.isInteger(value) && value >= least && value <= most
  if (!whole(width, 320, 7680) || !whole(height, 240, 4320)) {
    faults.set('display', 'From 320 × 240 to 7680 × 4320.')
    return null
  }
  return { width: width as number, height: height as number }
}

function secondsOf(span: Span, minutes: string, field: string, faults: Map<string, string>): number | undefined {
  if (span === 'template') return undefined
  if (span !== 'custom') return Number(span)
  const value = Number(minutes)
  if (!Number.isFinite(value) || value <= 0) {
    faults.set(field, 'A number of minutes, more than 0.')
    return undefined
  }
  return Math.round(value * 60)
}

/** `team=payments, run=7` */
function labelsOf(text: string, faults: Map<string, string>): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const piece of text.split(/[,\n]/)) {
    if (!piece.trim()) continue
    const equals = piece.indexOf('=')
    const key = piece.slice(0, equals).trim()
    if (equals < 1 || !key) {
      faults.set('labels', `"${piece.trim()}" is not of the form name=value.`)
      continue
    }
    labels[key] = piece.slice(equals + 1).trim()
  }
  return labels
}

function envOf(text: string, faults: Map<string, string>): Record<string, string> {
  const env: Record<string, string> = {}
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      faults.set('env', `"${line.trim().slice(0, 40)}" is not of the form NAME=value.`)
    else env[name] = value
  }
  return env
}

/** What a session of it gets, in a few words. */
export function templateFacts(template: Pick<Template, 'resources' | 'display' | 'ttl_seconds'>): string {
  const cpu = amountOf(template.resources?.cpu)
  const memory = amountOf(template.resources?.memory)
  return [
    cpu !== null && cores(Math.round(cpu * 1000)),
    memory !== null && bytes(memory),
    template.display && `${template.display.width} × ${template.display.height}`,
    template.ttl_seconds && `ends after ${duration(template.ttl_seconds * 1000)}`,
  ]
    .filter(Boolean)
    .join(' · ')
}

/** Whether some cluster could run it now. Without any knowledge of clusters: perhaps. */
export function servable(template: Pick<Template, 'kind' | 'browser'>, clusters: readonly Cluster[]): boolean {
  const known = clusters.filter(cluster => cluster.status === 'online' && cluster.capabilities)
  if (known.length === 0) return clusters.length === 0
  return known.some(
    ({ capabilities }) =>
      capabilities?.kinds.includes(template.kind) &&
      (template.kind !== 'browser' || capabilities.browsers.includes(template.browser ?? 'chromium')),
  )
}

const kindOrder: readonly Template['kind'][] = ['browser', 'desktop', 'app']

/** What can run now first, browsers before desktops, older before newer (the API lists the newest first). */
export function inOfferedOrder<T extends Pick<Template, 'kind' | 'browser'>>(
  templates: readonly T[],
  clusters: readonly Cluster[],
): T[] {
  const rank = (template: T) => (servable(template, clusters) ? 0 : 10) + kindOrder.indexOf(template.kind)
  return [...templates].reverse().sort((a, b) => rank(a) - rank(b))
}
