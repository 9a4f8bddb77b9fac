/**
 * The small words that allow-lists are written in. A rule looks at one value; what it does not know is refused, so a field that Kubernetes invents
 * tomorrow is refused until somebody has thought about it.
 */
import { type Fault, type Path, pointerOf } from './fault.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export class Findings {
  readonly faults: Fault[] = []
  tell(path: Path, detail: string): void {
    if (this.faults.length < 100) this.faults.push({ pointer: pointerOf(path), detail })
  }
}

export type Rule = (value: unknown, path: Path, findings: Findings) => void

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Exactly these fields. */
export function fields(rules: Record<string, Rule>, { need = [] }: { need?: readonly string[] } = {}): Rule {
  return (value, path, findings) => {
    if (!isObject(value)) return findings.tell(path, 'must be an object')
    for (const [key, item] of Object.entries(value)) {
      if (!Object.hasOwn(rules, key)) findings.tell([...path, key], `the field ${key.slice(0, 60)} is not accepted`)
      else if (item !== null) rules[key]!(item, [...path, key], findings)
    }
    for (const key of need) if (!Object.hasOwn(value, key) || value[key] === null) findings.tell([...path, key], 'is required')
  }
}

export function list(rule: Rule, { max = 200, min = 0 }: { max?: number; min?: number } = {}): Rule {
  return (value, path, findings) => {
    if (!Array.isArray(value)) return findings.tell(path, 'must be a list')
    if (value.length > max) return findings.tell(path, `has more than ${max} entries`)
    if (value.length < min) return findings.tell(path, `needs at least ${min} ${min === 1 ? 'entry' : 'entries'}`)
    value.forEach((item, at) => {
      rule(item, [...path, at], findings)
    })
  }
}

/** Words to values; keys are checked by `key`. */
export function record(rule: Rule, { key, max = 500 }: { key?: RegExp; max?: number } = {}): Rule {
  return (value, path, findings) => {
    if (!isObject(value)) return findings.tell(path, 'must be an object')
    const entries = Object.entries(value)
    if (entries.length > max) return findings.tell(path, `has more than ${max} entries`)
    for (const [name, item] of entries) {
      if (key && !key.test(name)) findings.tell([...path, name], 'is not a name that may be used here')
      else rule(item, [...path, name], findings)
    }
  }
}

export function text({ max = 4096, match, say }: { max?: number; match?: RegExp; say?: string } = {}): Rule {
  return (value, path, findings) => {
    if (typeof value !== 'string') findings.tell(path, 'must be text: quote it')
    else if (value.length > max) findings.tell(path, `is longer than ${max} characters`)
    else if (match && !match.test(value)) findings.tell(path, say ?? 'is not written as it must be')
  }
}

export function integer(min: number, max: number): Rule {
  return (value, path, findings) => {
    if (!Number.isSafeInteger(value)) findings.tell(path, 'must be a whole number')
    else if ((value as number) < min || (value as number) > max) findings.tell(path, `must be between ${min} and ${max}`)
  }
}

export const flag: Rule = (value, path, findings) => {
  if (typeof value !== 'boolean') findings.tell(path, 'must be true or false')
}

/** Only this value may be written here; it is also what holds when nothing is written. */
export function only(expected: boolean | string, why: string): Rule {
  return (value, path, findings) => {
    if (value !== expected) findings.tell(path, `must be ${expected}: ${why}`)
  }
}

export function oneOf(...words: string[]): Rule {
  return (value, path, findings) => {
    if (typeof value !== 'string' || !words.includes(value)) findings.tell(path, `must be ${words.join(' or ')}`)
  }
}

/** A field that is known, and refused for a reason worth telling. */
export function never(why: string): Rule {
  return (_, path, findings) => findings.tell(path, why)
}

export function all(...rules: Rule[]): Rule {
  return (value, path, findings) => {
    for (const rule of rules) rule(value, path, findings)
  }
}

export function either(test: (value: unknown) => boolean, yes: Rule, no: Rule): Rule {
  return (value, path, findings) => (test(value) ? yes : no)(value, path, findings)
}

const suffixes: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
} // biome-ignore format: a table

/** A Kubernetes quantity between two amounts. */
export function quantity(min: number, max: number, say: string): Rule {
  return (value, path, findings) => {
    const found = /^(\d{1,15}(?:\.\d{1,9})?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/.exec(
      typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '',
    )
    if (!found) return findings.tell(path, 'is not a quantity such as 500m or 2Gi')
    const amount = Number(found[1]) * suffixes[found[2] ?? '']!
    if (amount < min || amount > max) findings.tell(path, `must be ${say}`)
  }
}

export const names = {
  label: text({ max: 63, match: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, say: 'must be made of a-z, 0-9 and -' }),
  subdomain: text({
    max: 253,
    match: /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/,
    say: 'must be made of a-z, 0-9, - and dots',
  }),
  port: text({ max: 15, match: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, say: 'must be a port name of a-z, 0-9 and -' }),
  /** Kubernetes' own labels of what is ours cannot be borrowed: whoever carries them is trusted. */
  dataKey: /^[A-Za-z0-9._-]{1,253}$/,
}

export const portNumber = integer(1, 65_535)
export const portOrName: Rule = either(value => typeof value === 'number', portNumber, names.port)
