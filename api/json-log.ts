/** One JSON object a line. Values are cut, control characters escaped by JSON, and anything that looks like a secret of ours is blotted out. */
import type { Log } from './platform.ts'

const longest = 2_000
const secret = /vnc-(sk|join|tk|se|st|lk)-[0-9A-Za-z-]*/g
const jwt = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+/g
const credentialsInUrl = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi

export function redacted(text: string): string {
  return text.replace(secret, 'vnc-$1-…').replace(jwt, '<jwt>').replace(credentialsInUrl, '$1…@')
}

function safe(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Error) return redacted(`${value.name}: ${value.message}`).slice(0, longest)
  if (typeof value !== 'string') return value
  const text = redacted(value)
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

/** `write` takes whole lines, without their end. */
export function linesLog(write: (line: string) => void): Log {
  const say =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      let line: string
      try {
        line = JSON.stringify({ time: new Date().toISOString(), level, event, ...fields }, safe)
      } catch {
        line = JSON.stringify({ time: new Date().toISOString(), level, event, unprintable: true })
      }
      // U+2028/9 and C1 controls pass JSON but break terminals and line readers.
      write(line.replace(/[\u007f-\u009f\u2028\u2029]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`))
    }
  return { info: say('info'), warn: say('warn'), error: say('error') }
}
