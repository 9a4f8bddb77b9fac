/** Times as people say them. `now` is always an argument. */

const second = 1_000
const minute = 60 * second

/** A length of time with at most two units: `42 s`, `5 min`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / second))
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return withRest(`${hours} h`, minutes % 60, 'min')
  return withRest(`${Math.floor(hours / 24)} d`, hours % 24, 'h')
}

/** A countdown that ticks visibly in its last hour: `1 h 5 min`, `12 min`, `4:09`. */
export function countdown(ms: number): string {
  if (ms >= 10 * minute) return duration(ms)
  const whole = Math.max(0, Math.ceil(ms / second))
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

/** Precise, for timelines: `240 ms`, `1.4 s`, `12 s`, then as `duration`. */
export function lap(ms: number): string {
  if (ms < second) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10 * second) return `${(ms / second).toFixed(1)} s`
  return duration(ms)
}

export function ago(iso: string | null | undefined, now: number): string {
  const at = parse(iso)
  if (at === null) return 'never'
  const age = now - at
  return age < 5 * second ? 'just now' : `${duration(age)} ago`
}

export function age(iso: string | null | undefined, now: number): string {
  const at = parse(iso)
  return at === null ? '–' : duration(now - at)
}

export function until(iso: string | null | undefined, now: number): number | null {
  const at = parse(iso)
  return at === null ? null : at - now
}

/** The full date in the reader's own words, for titles of short forms. */
export function fullDate(iso: string | null | undefined): string {
  const at = parse(iso)
  return at === null ? '' : new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
}

export function shortDate(iso: string | null | undefined): string {
  const at = parse(iso)
  return at === null ? '–' : new Date(at).toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' })
}

export function clockTime(iso: string | null | undefined): string {
  const at = parse(iso)
  return at === null
    ? ''
    : new Date(at).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
}

export interface Deadline {
  ms: number
  /** Which wall is nearer: the end of life, or the end of patience with nobody using it. */
  kind: 'ttl' | 'idle'
}

export function nearestDeadline(
  session: { expires_at: string | null; idle_expires_at: string | null },
  now: number,
): Deadline | null {
  const ttl = until(session.expires_at, now)
  const idle = until(session.idle_expires_at, now)
  if (ttl === null && idle === null) return null
  return idle !== null && (ttl === null || idle < ttl) ? { ms: idle, kind: 'idle' } : { ms: ttl ?? 0, kind: 'ttl' }
}

function withRest(head: string, rest: number, unit: string): string {
  return rest === 0 ? head : `${head} ${rest} ${unit}`
}

function parse(iso: string | null | undefined): number | null {
  if (!iso) return null
  const at = Date.parse(iso)
  return Number.isNaN(at) ? null : at
}
