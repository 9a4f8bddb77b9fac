/**
 * YAML or JSON text, many documents, read exactly once. What comes out is JSON, and that JSON is what is checked, shown and sent: there is no second
 * parser to disagree with. Whatever YAML 1.1 (kubectl) and 1.2 read differently is refused instead of guessed.
 */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  Lexer,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml'
import { type Fault, type Path, pointerOf } from './fault.ts'

export const limits = {
  bytes: 256 * 1024,
  tokens: 60_000,
  documents: 100,
  depth: 48,
  nodes: 30_000,
  aliases: 100,
} as const

export interface ParsedText {
  /** One JSON value a document, empty documents left out. `index`: which document of the text. */
  documents: { index: number; value: unknown }[]
  faults: Fault[]
  /** Line of a value, from 1; null: not in the text. */
  lineOf(path: Path): number | null
}

export function parseText(text: string): ParsedText {
  const faults: Fault[] = []
  const refuse = (detail: string, path: Path = [], line?: number) =>
    faults.push({ pointer: pointerOf(path), detail, ...(line !== undefined && { line }) })
  const unread = beforeReading(text)
  if (unread) {
    refuse(unread)
    return { documents: [], faults, lineOf: () => null }
  }
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    // Its own check compares each key with each other; ours is below.
    uniqueKeys: false,
    merge: false,
    strict: true,
    prettyErrors: false,
    lineCounter: lines,
    logLevel: 'silent',
  })
  const all: readonly Document[] = Array.isArray(parsed) ? (parsed as Document[]) : []
  if (all.length > limits.documents) {
    refuse(`has more than ${limits.documents} documents`)
    return { documents: [], faults, lineOf: () => null }
  }
  const documents = all.flatMap((document, index) => {
    const at = (offset: number | undefined) => (offset === undefined ? undefined : lines.linePos(offset).line)
    for (const error of [...document.errors, ...document.warnings].slice(0, 5)) {
      refuse(sentence(error.message), [index], at(error.pos[0]))
    }
    if (document.errors.length + document.warnings.length > 0) return []
    const told = strangeThings(document, (detail, path, node) => refuse(detail, [index, ...path], at(node.range?.[0])))
    if (told || document.contents === null) return []
    try {
      return [{ index, value: document.toJS({ maxAliasCount: limits.aliases }) as unknown }]
    } catch {
      refuse('has aliases that lead nowhere, or that would grow without end', [index])
      return []
    }
  })
  return {
    documents: documents.filter(({ value }) => value !== null),
    faults,
    lineOf: ([index, ...rest]) => {
      const document = all[Number(index)]
      for (let path = rest; document; path = path.slice(0, -1)) {
        const node = document.getIn(path, true) as Node | undefined
        if (node?.range) return lines.linePos(node.range[0]).line
        if (path.length === 0) return null
      }
      return null
    },
  }
}

/** What would cost too much to read is found by counting first: the parser calls itself for each level, and each word costs it some microseconds. */
function beforeReading(text: string): string | null {
  if (new TextEncoder().encode(text).length > limits.bytes) return `is larger than ${limits.bytes / 1024} KiB`
  if (/^%/m.test(text)) return 'has a directive (%YAML, %TAG): directives are not accepted'
  if (nesting(text) > limits.depth * 2) return `is nested deeper than ${limits.depth} levels`
  let tokens = 0
  for (const _ of new Lexer().lex(text)) if (++tokens > limits.tokens) return `has more than ${limits.tokens} words and signs`
  return null
}

/** Deepest flow or block nesting that the text could mean; never less than what it does mean. */
function nesting(text: string): number {
  let flow = 0
  let deepest = 0
  for (const line of text.split('\n')) {
    const indent = /^[ \t]*(?:- +|\? +|-\t)*/.exec(line)![0]
    const block = Math.min(indent.length, indent.trimEnd() === '' ? Math.ceil(indent.length / 2) : indent.length)
    for (const char of line) {
      if (char === '[' || char === '{') flow++
      else if (char === ']' || char === '}') flow = Math.max(0, flow - 1)
      if (flow + block > deepest) deepest = flow + block
    }
    if (flow + block > deepest) deepest = flow + block
  }
  return deepest
}

/** Plain words that kubectl takes for something else than YAML 1.2 does. */
const twoMeanings: [RegExp, string][] = [
  [
    /^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$/,
    'is true or false to some readers and a word to others: write true or false, or quote it',
  ],
  [/^[-+]?0[0-7_]+$/, 'is octal to some readers and decimal to others: write 0o… or the decimal number'],
  [/^[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?$/, 'is a number in base 60 to some readers: quote it'],
  [/^[-+]?\d[\d]*_[\d_]*$/, 'is a number to some readers and a word to others: quote it'],
]

/** True when there was something to refuse. At most a handful is told: each place costs a walk. */
function strangeThings(document: Document, tell: (detail: string, path: Path, node: Node) => void): boolean {
  let strange = 0
  let nodes = 0
  const refuse = (detail: string, path: Path, node: Node) => {
    tell(detail, path, node)
    return ++strange < 20 ? undefined : visit.BREAK
  }
  visit(document, {
    Node(_, node, ancestors) {
      const place = () => pathTo(node as Node, ancestors as Node[])
      if (++nodes > limits.nodes) {
        refuse(`has more than ${limits.nodes} values`, [], node as Node)
        return visit.BREAK
      }
      if (ancestors.filter(isCollection).length > limits.depth) {
        refuse(`is nested deeper than ${limits.depth} levels`, [], node as Node)
        return visit.BREAK
      }
      if (!isAlias(node) && node.tag !== undefined) {
        return refuse(`has the tag ${node.tag}: tags are not accepted`, place(), node as Node)
      }
      if (isMap(node)) return keyTwice(node, at => refuse('is there twice', [...place(), String(at.value)], at))
      if (!isScalar(node) || node.type !== 'PLAIN' || typeof node.source !== 'string') return undefined
      const { source } = node
      const found = twoMeanings.find(([pattern]) => pattern.test(source))
      return found && refuse(`"${source.slice(0, 40)}" ${found[1]}`, place(), node)
    },
    Pair(_, pair, ancestors) {
      const key = pair.key as Node
      if (isScalar(key) && typeof key.value === 'string' && (key.value !== '<<' || key.type !== 'PLAIN')) return undefined
      const path = pathTo(pair as never, ancestors as Node[])
      const merge = isScalar(key) && key.value === '<<'
      return refuse(merge ? 'merge keys (<<) are not accepted' : 'has a key that is not a word', path, key ?? document.contents)
    },
  })
  return strange > 0
}

function keyTwice<T>(map: YAMLMap, tell: (key: Scalar) => T): T | undefined {
  const seen = new Set<unknown>()
  for (const { key } of map.items) {
    if (!isScalar(key)) continue
    if (seen.has(String(key.value))) return tell(key)
    seen.add(String(key.value))
  }
  return undefined
}

function pathTo(node: Node, ancestors: readonly (Node | Document | { key: unknown })[]): Path {
  const chain = [...ancestors, node]
  const path: (string | number)[] = []
  for (const [at, item] of chain.entries()) {
    const parent = chain[at - 1]
    if ('key' in item && !('items' in item) && isMap(parent)) path.push(String(isScalar(item.key) ? item.key.value : '?'))
    else if (parent && 'items' in parent && !isMap(parent)) path.push((parent.items as unknown[]).indexOf(item))
  }
  return path
}

function sentence(message: string): string {
  return `cannot be read as YAML: ${message.split('\n')[0]!.slice(0, 200)}`
}
