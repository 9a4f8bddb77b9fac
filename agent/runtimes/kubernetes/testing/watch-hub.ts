/** The double's watches: one history of all changes, and whoever listens to a part of it. */
import type { ServerResponse } from 'node:http'
import type { KubeObject } from '../wire.ts'

export type StoredObject = KubeObject & {
  metadata: NonNullable<KubeObject['metadata']> & { name: string; uid: string; resourceVersion: string }
}
type Change = { collection: string; type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: StoredObject; version: number }

interface Watch {
  collection: string
  query: URLSearchParams
  response: ServerResponse
}

export class WatchHub {
  private count = 100
  /** Changes up to here are forgotten. */
  private floor = 0
  private history: Change[] = []
  private readonly watches = new Set<Watch>()
  private mute = false

  get version(): string {
    return String(this.count)
  }

  get listeners(): number {
    return this.watches.size
  }

  next(): string {
    return String(++this.count)
  }

  tell(collection: string, type: Change['type'], object: StoredObject): void {
    const change = { collection, type, object, version: Number(object.metadata.resourceVersion) }
    this.history.push(change)
    for (const watch of this.watches) this.pass(watch, change)
  }

  open(collection: string, query: URLSearchParams, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const from = Number(query.get('resourceVersion') ?? 0)
    const watch = { collection, query, response }
    if (from < this.floor) {
      write(response, 'ERROR', {
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: `too old resource version: ${from} (${this.floor})`,
      })
      response.end()
      return
    }
    this.watches.add(watch)
    response.once('close', () => this.watches.delete(watch))
    for (const change of this.history) if (change.version > from) this.pass(watch, change)
  }

  bookmark(): void {
    for (const { response } of this.watches) write(response, 'BOOKMARK', { metadata: { resourceVersion: this.version } })
  }

  /** Connections stay, nothing comes any more. */
  silence(): void {
    this.mute = true
  }

  speak(): void {
    this.mute = false
  }

  /** `410 Gone` for whoever asks from before now, and for those who listen. */
  forgetHistory(): void {
    this.floor = this.count
    this.history = []
    for (const { response } of this.watches) {
      write(response, 'ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' })
      response.end()
    }
    this.watches.clear()
  }

  /** Ends all watches: cleanly, or in the middle of a line. */
  cut(torn = false): void {
    for (const { response } of this.watches) response.end(torn ? '{"type":"ADDED","object":{"metad' : undefined)
    this.watches.clear()
  }

  /** Any line, as it is. */
  say(line: string): void {
    for (const { response } of this.watches) response.write(`${line}\n`)
  }

  private pass({ collection, query, response }: Watch, change: Change): void {
    if (this.mute || change.collection !== collection || !fits(change.object, query)) return
    write(response, change.type, change.object)
  }
}

function write(response: ServerResponse, type: string, object: object): void {
  response.write(`${JSON.stringify({ type, object })}\n`)
}

/** `labelSelector` (`a=b`, `a`) and `fieldSelector` (`x.y=z`). */
export function fits(object: KubeObject, query: URLSearchParams): boolean {
  const labels: Record<string, string | undefined> = object.metadata?.labels ?? {}
  const byLabel = (query.get('labelSelector') ?? '').split(',').filter(Boolean)
  const byField = (query.get('fieldSelector') ?? '').split(',').filter(Boolean)
  const field = (path: string) =>
    path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object)
  return (
    byLabel.every(term => {
      const [key = '', value] = term.split('=')
      return value === undefined ? labels[key] !== undefined : labels[key] === value
    }) && byField.every(term => String(field(term.split('=')[0]!)) === term.split('=')[1])
  )
}

/** RFC 7386: null removes. */
export function merged(there: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = typeof there === 'object' && there !== null ? { ...there } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merged(result[key], value)
  }
  return result
}
