/**
 * The part of Go's text/template, with Helm's functions, that the charts here are written in: so that they can be rendered and tested where
 * no helm is. What it does not know it refuses, so a chart can never mean one thing here and another to Helm. Parsed into closures.
 */
import { createHash } from 'node:crypto'
import { parse, stringify } from 'yaml'

/** `vars` is shared down a scope chain; `dot` is what `.` means. */
interface Scope {
  dot: unknown
  vars: Map<string, unknown>
  parent: Scope | null
}
type Evaluate = (scope: Scope) => unknown
type Write = (scope: Scope, out: string[]) => void
type Templates = Map<string, Write>

export class TemplateFault extends Error {
  override readonly name = 'TemplateFault'
}

interface Piece {
  kind: 'text' | 'action'
  value: string
}

function split(source: string): Piece[] {
  const pieces: Piece[] = []
  let trimNext = false
  let at = 0
  const text = (value: string, trimEnd: boolean) => {
    const start = trimNext ? value.trimStart() : value
    pieces.push({ kind: 'text', value: trimEnd ? start.trimEnd() : start })
  }
  for (const match of source.matchAll(
    /\{\{(- )?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`])*?)( -)?\}\}|\{\{(-)? ?\/\*[\s\S]*?\*\/ ?(-)?\}\}/g,
  )) {
    const trimBefore = match[1] !== undefined || match[4] !== undefined || match[0].startsWith('{{-')
    text(source.slice(at, match.index), trimBefore)
    const action = (match[2] ?? '').trim()
    if (action !== '' && !action.startsWith('/*')) pieces.push({ kind: 'action', value: action })
    trimNext = match[0].endsWith('-}}')
    at = match.index + match[0].length
  }
  text(source.slice(at), false)
  return pieces
}

const tokenPattern =
  /\s*(?:("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+(?:\.\d+)?)|(\$?[A-Za-z_][\w]*|\$)|((?:\.[A-Za-z_]\w*)+|\.)|(:=|[=|(),]))/y

function tokens(action: string): string[] {
  const found: string[] = []
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < action.trimEnd().length) {
    const from = tokenPattern.lastIndex
    const match = tokenPattern.exec(action)
    if (!match) throw new TemplateFault(`cannot read {{ ${action} }} at ${JSON.stringify(action.slice(from, from + 20))}`)
    found.push(match[0].trim())
  }
  return found
}

/** Go's truth: nil, false, 0, "" and whatever is empty are false. */
export function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  return Boolean(value)
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'object')
    throw new TemplateFault(`a map or list cannot be printed: use toYaml or toJson (${JSON.stringify(value).slice(0, 80)})`)
  return String(value)
}

const field = (from: unknown, name: string): unknown => {
  if (from === undefined || from === null) throw new TemplateFault(`nil has no field ${name}`)
  if (typeof from !== 'object') throw new TemplateFault(`${typeof from} has no field ${name}`)
  return (from as Record<string, unknown>)[name]
}

function variable(scope: Scope | null, name: string): { scope: Scope; value: unknown } {
  for (let place = scope; place; place = place.parent)
    if (place.vars.has(name)) return { scope: place, value: place.vars.get(name) }
  throw new TemplateFault(`${name} is not declared`)
}

const unquoted = (token: string) => (token.startsWith('`') ? token.slice(1, -1) : (JSON.parse(token) as string))

class Expression {
  private readonly words: string[]
  private readonly call: (name: string, args: unknown[]) => unknown
  private at = 0

  constructor(words: string[], call: (name: string, args: unknown[]) => unknown) {
    this.words = words
    this.call = call
  }

  whole(): Evaluate {
    const evaluate = this.pipeline()
    if (this.at < this.words.length) throw new TemplateFault(`unexpected ${this.words[this.at]} in {{ ${this.words.join(' ')} }}`)
    return evaluate
  }

  private pipeline(): Evaluate {
    let value = this.command(null)
    while (this.words[this.at] === '|') {
      this.at++
      value = this.command(value)
    }
    return value
  }

  /** `piped`: the value of what stands before the `|`; the function's last argument. */
  private command(piped: Evaluate | null): Evaluate {
    const word = this.words[this.at]
    if (word === undefined) throw new TemplateFault('an expression is missing')
    if (!/^[A-Za-z_]/.test(word) || /^(true|false|nil)$/.test(word)) {
      const value = this.operand()
      if (piped) throw new TemplateFault(`${word} is no function to pipe into`)
      return value
    }
    this.at++
    const args: Evaluate[] = []
    while (this.at < this.words.length && !['|', ')'].includes(this.words[this.at]!)) args.push(this.operand())
    if (piped) args.push(piped)
    // Go's `and` and `or` stop at the first value that decides.
    if (word === 'and' || word === 'or') return scope => this.shortCircuit(word, args, scope)
    return scope =>
      this.call(
        word,
        args.map(arg => arg(scope)),
      )
  }

  private shortCircuit(word: string, args: Evaluate[], scope: Scope): unknown {
    let value: unknown
    for (const arg of args) {
      value = arg(scope)
      if (truth(value) === (word === 'or')) return value
    }
    return value
  }

  private operand(): Evaluate {
    const word = this.words[this.at++]!
    if (word === '(') {
      const inner = this.pipeline()
      if (this.words[this.at++] !== ')') throw new TemplateFault('a ) is missing')
      return this.fields(inner)
    }
    if (/^["`]/.test(word)) return () => unquoted(word)
    if (/^-?\d/.test(word)) return () => Number(word)
    if (word === 'true' || word === 'false') return () => word === 'true'
    if (word === 'nil') return () => null
    if (word.startsWith('$')) return this.fields(scope => variable(scope, word).value)
    if (word === '.') return scope => scope.dot
    if (word.startsWith('.')) {
      this.at--
      return this.fields(scope => scope.dot)
    }
    // A function without arguments, such as `list`.
    return () => this.call(word, [])
  }

  private fields(base: Evaluate): Evaluate {
    const word = this.words[this.at]
    if (!word?.startsWith('.') || word === '.') return base
    this.at++
    const names = word.slice(1).split('.')
    return scope => names.reduce((value, name) => field(value, name), base(scope))
  }
}

export class ChartTemplates {
  private readonly templates: Templates = new Map()
  private readonly bodies = new Map<string, Write>()

  /** `file` only matters for faults and for the order of `render`. */
  add(file: string, source: string): void {
    const pieces = split(source)
    const parser = new Parser(pieces, file, this.templates, (name, args) => this.call(name, args))
    this.bodies.set(file, parser.body())
  }

  render(file: string, values: unknown): string {
    return this.run(this.bodies.get(file)!, values)
  }

  private run(body: Write, dot: unknown): string {
    const out: string[] = []
    body({ dot, vars: new Map([['$', dot]]), parent: null }, out)
    return out.join('')
  }

  private call(name: string, args: unknown[]): unknown {
    if (name === 'include') {
      const body = this.templates.get(String(args[0]))
      if (!body) throw new TemplateFault(`no template is called ${String(args[0])}`)
      return this.run(body, args[1])
    }
    const known = functions[name]
    if (!known) throw new TemplateFault(`the function ${name} is not known here`)
    // Each knows what it is called with; a wrong argument throws there.
    return known(...(args as never[]))
  }
}

type Block = { write: Write; ended: string; rest: string }

class Parser {
  private readonly pieces: Piece[]
  private readonly file: string
  private readonly templates: Templates
  private readonly call: (name: string, args: unknown[]) => unknown
  private at = 0

  constructor(pieces: Piece[], file: string, templates: Templates, call: (name: string, args: unknown[]) => unknown) {
    this.pieces = pieces
    this.file = file
    this.templates = templates
    this.call = call
  }

  body(): Write {
    const { write, ended } = this.block()
    if (ended !== '') throw new TemplateFault(`${this.file}: {{ ${ended} }} without a beginning`)
    return write
  }

  /** Up to `end`, `else` or the end of the file, whichever comes first. */
  private block(): Block {
    const writes: Write[] = []
    const write: Write = (scope, out) => {
      for (const each of writes) each(scope, out)
    }
    while (this.at < this.pieces.length) {
      const { kind, value } = this.pieces[this.at++]!
      if (kind === 'text') {
        writes.push((_, out) => void out.push(value))
        continue
      }
      const [, word = '', rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(value)!
      if (word === 'end' || word === 'else') return { write, ended: word, rest }
      try {
        writes.push(this.action(word, rest, value))
      } catch (cause) {
        throw new TemplateFault(`${this.file}: {{ ${value} }}: ${(cause as Error).message}`)
      }
    }
    return { write, ended: '', rest: '' }
  }

  private action(word: string, rest: string, whole: string): Write {
    if (word === 'if' || word === 'with') return this.choice(word, rest)
    if (word === 'range') return this.range(rest)
    if (word === 'define') return this.define(rest)
    const [, name, assign, expression] = /^(\$\w+)\s*(:?=)\s*([\s\S]+)$/.exec(whole) ?? []
    if (name) {
      const value = this.expression(expression!)
      return scope => {
        const place = assign === ':=' ? scope : variable(scope, name).scope
        place.vars.set(name, value(scope))
      }
    }
    const value = this.expression(whole)
    return (scope, out) => {
      try {
        out.push(shown(value(scope)))
      } catch (cause) {
        if (cause instanceof TemplateFault && cause.message.includes('{{')) throw cause
        throw new TemplateFault(`${this.file}: {{ ${whole} }}: ${(cause as Error).message}`)
      }
    }
  }

  private expression(text: string): Evaluate {
    return new Expression(tokens(text), this.call).whole()
  }

  private choice(word: string, condition: string): Write {
    const value = this.expression(condition)
    const { write, ended, rest } = this.block()
    let otherwise: Write = () => {}
    if (ended === 'else') {
      const [, again, more = ''] = /^(if|with)\s+([\s\S]+)$/.exec(rest) ?? []
      // The chained one consumes the `end` of both.
      otherwise = again ? this.choice(again, more) : this.closed()
    } else this.ended(ended)
    return (scope, out) => {
      const found = value(scope)
      const below: Scope = { dot: word === 'with' && truth(found) ? found : scope.dot, vars: new Map(), parent: scope }
      if (truth(found)) write(below, out)
      else otherwise(below, out)
    }
  }

  private range(text: string): Write {
    const [, key, item, expression = text] = /^(?:(\$\w+)\s*,\s*)?(\$\w+)\s*:=\s*([\s\S]+)$/.exec(text) ?? []
    const value = this.expression(expression)
    const { write, ended } = this.block()
    const otherwise: Write = ended === 'else' ? this.closed() : () => this.ended(ended)
    if (ended !== 'else') this.ended(ended)
    return (scope, out) => {
      const found = value(scope)
      if (!truth(found)) return otherwise(scope, out)
      // Go walks through maps by key.
      const entries: [unknown, unknown][] = Array.isArray(found)
        ? found.map((each, index) => [index, each])
        : Object.entries(found as object).sort(([a], [b]) => (a < b ? -1 : 1))
      for (const [index, each] of entries) {
        const vars = new Map<string, unknown>()
        if (key) vars.set(key, index)
        if (item) vars.set(item, each)
        write({ dot: each, vars, parent: scope }, out)
      }
    }
  }

  private define(text: string): Write {
    const write = this.closed()
    this.templates.set(unquoted(text.trim()), write)
    return () => {}
  }

  private closed(): Write {
    const { write, ended } = this.block()
    this.ended(ended)
    return write
  }

  private ended(word: string): void {
    if (word !== 'end') throw new TemplateFault('an {{ end }} is missing')
  }
}

const yamlOptions = { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false } as const
const indent = (count: number, text: string) => text.replace(/^/gm, ' '.repeat(count))
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  )
}
/** As Go writes JSON: these three are escaped so that it can stand in HTML. */
const toJson = (value: unknown) =>
  JSON.stringify(sorted(value)).replace(/[<>&]/g, sign => `\\u00${sign.charCodeAt(0).toString(16)}`)

const functions: Record<string, (...args: never[]) => unknown> = {
  append: (items: unknown[], item: unknown) => [...items, item],
  b64enc: (text: string) => Buffer.from(text).toString('base64'),
  default: (fallback: unknown, value?: unknown) => (truth(value) ? value : fallback),
  dict: (...pairs: unknown[]) =>
    Object.fromEntries(pairs.flatMap((key, at) => (at % 2 === 0 ? [[String(key), pairs[at + 1]]] : []))),
  eq: (a: unknown, ...others: unknown[]) => others.some(other => a === other),
  fail: (message: string) => {
    throw new TemplateFault(message)
  },
  fromYaml: (text: string) => parse(text) as unknown,
  gt: (a: number, b: number) => a > b,
  indent: (count: number, text: string) => indent(count, text),
  int: (value: unknown) => Math.trunc(Number(value)) || 0,
  join: (separator: string, items: unknown[]) => (items ?? []).map(shown).join(separator),
  list: (...items: unknown[]) => items,
  ne: (a: unknown, b: unknown) => a !== b,
  nindent: (count: number, text: string) => `\n${indent(count, text)}`,
  not: (value: unknown) => !truth(value),
  printf: (format: string, ...args: unknown[]) => {
    let at = 0
    return format.replace(/%[sdv]/g, () => shown(args[at++]))
  },
  quote: (value: unknown) => (value === undefined || value === null ? '' : JSON.stringify(shown(value))),
  required: (message: string, value: unknown) => {
    if (value === undefined || value === null || value === '') throw new TemplateFault(message)
    return value
  },
  sha256sum: (text: string) => createHash('sha256').update(text).digest('hex'),
  toJson,
  toYaml: (value: unknown) => stringify(value, yamlOptions).trimEnd(),
  trimSuffix: (suffix: string, text: string) => (text.endsWith(suffix) ? text.slice(0, -suffix.length) : text),
  trunc: (count: number, text: string) => text.slice(0, count),
}
