/** How full a pool is, how often it had one, and the form of its sizes. Pure. */
import type { Pool, PoolCreate, PoolPatch } from '../../api/contract.ts'
import { amountOf } from '../../format/quantity.ts'
import type { Tone } from '../../format/session-words.ts'
import { duration } from '../../format/time.ts'

/** How many it keeps now: fewer when nobody has asked for a while, unless it still fills (its template is being used). */
export function targetOf(pool: Pool, now: number): number {
  const asked = Date.parse(pool.last_asked_at ?? pool.created_at)
  const kept = now - asked >= pool.idle_after_seconds * 1000 ? pool.idle_size : pool.size
  return pool.starting > 0 ? Math.max(kept, Math.min(pool.size, pool.ready + pool.starting)) : kept
}

export function poolState(pool: Pool, now: number): { word: string; tone: Tone; moving: boolean } {
  const target = targetOf(pool, now)
  if (pool.ready >= target && pool.ready > 0) return { word: 'Full', tone: 'good', moving: false }
  if (pool.starting > 0) return { word: 'Filling', tone: 'wait', moving: true }
  if (pool.status_reason) return { word: 'Not filling', tone: 'bad', moving: false }
  if (target === 0) return { word: 'Off', tone: 'quiet', moving: false }
  return pool.ready > 0 ? { word: 'Low', tone: 'warn', moving: false } : { word: 'Empty', tone: 'warn', moving: false }
}

/** Of the creates that fitted, how many found one. */
export function hitRate({ hits, misses }: Pick<Pool, 'hits' | 'misses'>): { rate: string; of: string } {
  const asked = hits + misses
  if (asked === 0) return { rate: '–', of: 'nobody has asked yet' }
  // Only a rate without a single miss is 100 %.
  const percent = misses === 0 ? 100 : Math.min(99, Math.round((hits / asked) * 100))
  return { rate: `${percent} %`, of: `${hits} of ${asked}` }
}

export function refillWords(seconds: number | null): string {
  if (seconds === null) return '–'
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds * 1000)
}

/** What its sessions are, over the template. */
export function overrideWords({ overrides }: Pick<Pool, 'overrides'>): string[] {
  const { browser, headless, display, resources } = overrides
  return [
    browser,
    headless === undefined ? undefined : headless ? 'headless' : 'with a screen',
    display && `${display.width} × ${display.height}`,
    ...Object.entries(resources ?? {}).flatMap(([name, amount]) => (amount ? [`${name} ${amount}`] : [])),
  ].filter(word => word !== undefined && word !== null) as string[]
}

export interface PoolDraft {
  template: string
  cluster: string
  size: string
  idleSize: string
  /** Minutes. */
  idleAfter: string
  maxAge: string
  headless: boolean
  cpu: string
  memory: string
}

export const emptyPool: PoolDraft = {
  template: '',
  cluster: '',
  size: '2',
  idleSize: '1',
  idleAfter: '30',
  maxAge: '60',
  headless: false,
  cpu: '',
  memory: '',
}

export function draftOf(pool: Pool): PoolDraft {
  const minutes = (seconds: number) => String(Math.round((seconds / 60) * 100) / 100)
  return {
    ...emptyPool,
    template: pool.template,
    cluster: pool.cluster,
    size: String(pool.size),
    idleSize: String(pool.idle_size),
    idleAfter: minutes(pool.idle_after_seconds),
    maxAge: minutes(pool.max_age_seconds),
  }
}

export interface PoolRequest {
  sizes: Required<PoolPatch>
  body: PoolCreate
  /** By API field. */
  faults: Map<string, string>
}

export function poolRequest(draft: PoolDraft): PoolRequest {
  const faults = new Map<string, string>()
  const whole = (field: string, text: string): number => {
    const value = Number(text.trim())
    if (text.trim() && Number.isInteger(value) && value >= 0 && value <= 100) return value
    faults.set(field, 'A whole number from 0 to 100.')
    return 0
  }
  const seconds = (field: string, text: string): number => {
    const value = Math.round(Number(text.trim()) * 60)
    if (text.trim() && value >= 10 && value <= 86_400) return value
    faults.set(field, 'Minutes: up to a day (1440).')
    return 0
  }
  if (!draft.template) faults.set('template', 'Choose what is to be kept warm.')
  const sizes = {
    size: whole('size', draft.size),
    idle_size: whole('idle_size', draft.idleSize),
    idle_after_seconds: seconds('idle_after_seconds', draft.idleAfter),
    max_age_seconds: seconds('max_age_seconds', draft.maxAge),
  }
  if (!faults.has('size') && !faults.has('idle_size') && sizes.idle_size > sizes.size)
    faults.set('idle_size', 'No more than the size.')
  const amounts: [string, string][] = [
    ['cpu', draft.cpu.trim()],
    ['memory', draft.memory.trim()],
  ]
  const resources = Object.fromEntries(amounts.filter(([, amount]) => amount))
  for (const [name, amount] of Object.entries(resources))
    if (amountOf(amount) === null) faults.set('overrides', `${name}: a number with a unit, as 500m or 2Gi.`)
  const overrides = {
    ...(draft.headless ? { headless: true } : {}),
    ...(Object.keys(resources).length > 0 ? { resources } : {}),
  }
  const body: PoolCreate = {
    template: draft.template,
    ...(draft.cluster ? { cluster: draft.cluster } : {}),
    ...sizes,
    ...(Object.keys(overrides).length > 0 ? { overrides } : {}),
  }
  return { sizes, body, faults }
}
