/** What applying an object would change, for people: what the server keeps for itself is left out, values of Secrets are not shown. Pure. */
import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { lineDiff } from './line-diff.ts'
import { isOwnKey } from './manifest-labels.ts'
import type { Live } from './place-objects.ts'

export interface Change {
  kind: string
  name: string
  change: 'create' | 'update' | 'replace' | 'delete' | 'unchanged'
  diff: string
}

export function changeOf(before: Live | null, after: Live | null): Change {
  const { kind = '', metadata } = (after ?? before)!
  const [old, fresh] = [shown(before), shown(after)]
  const diff = lineDiff(old, fresh)
  const change = !before ? 'create' : !after ? 'delete' : old === fresh ? 'unchanged' : 'update'
  return { kind, name: metadata?.name ?? '', change, diff: change === 'unchanged' ? '' : diff }
}

function shown(object: Live | null): string {
  if (!object) return ''
  const { status: _, metadata, apiVersion, kind, ...rest } = object
  const labels = withoutOwn(metadata?.labels)
  const annotations = withoutOwn(metadata?.annotations)
  const head = {
    name: metadata?.name,
    namespace: metadata?.namespace,
    ...(labels && { labels }),
    ...(annotations && { annotations }),
  }
  return stringify(
    { apiVersion, kind, metadata: head, ...(kind === 'Secret' ? veiled(rest) : rest) },
    { sortMapEntries: true, lineWidth: 0 },
  )
}

function withoutOwn(words: Record<string, string> | undefined): Record<string, string> | undefined {
  const kept = Object.entries(words ?? {}).filter(([key]) => !isOwnKey(key) && key !== 'deployment.kubernetes.io/revision')
  return kept.length > 0 ? Object.fromEntries(kept) : undefined
}

/** Enough to see that a value changed, nothing to learn it from. */
function veiled(secret: Record<string, unknown>): Record<string, unknown> {
  const data = Object.entries((secret.data ?? {}) as Record<string, string>).map(([key, value]) => {
    const bytes = Buffer.from(value, 'base64')
    return [key, `(${bytes.length} bytes, ${createHash('sha256').update('porthole').update(bytes).digest('hex').slice(0, 6)})`]
  })
  return { ...secret, data: Object.fromEntries(data) }
}
