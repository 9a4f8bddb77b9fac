/** The forms of manifests, deploys and builds as data, and the requests they become. Pure. */
import type { JobCreate } from '../../api/contract.ts'

export type WorkType = 'manifest' | 'deploy' | 'build'

export interface WorksDraft {
  name: string
  cluster: string
  namespace: string
  /** manifest */
  yaml: string
  set: string
  /** deploy: `service=image`, one a line */
  mappings: string
  /** build: of a repository, or of an upload */
  url: string
  upload: string
  ref: string
  dockerfile: string
  target: string
  image: string
  tags: string
  args: string
  secret: string
}

export const emptyWorks: WorksDraft = {
  name: '',
  cluster: '',
  namespace: '',
  yaml: '',
  set: '',
  mappings: '',
  url: '',
  upload: '',
  ref: '',
  dockerfile: '',
  target: '',
  image: '',
  tags: '',
  args: '',
  secret: '',
}

export interface WorkRequest {
  body: JobCreate
  /** By API field. */
  faults: Map<string, string>
}

export function workRequest(type: WorkType, draft: WorksDraft, dryRun: boolean): WorkRequest {
  const faults = new Map<string, string>()
  const text = (key: keyof WorksDraft) => draft[key].trim()
  const some = <K extends string>(field: K, value: string) => (value ? ({ [field]: value } as Record<K, string>) : {})
  const both = {
    ...some('name', text('name')),
    ...some('cluster', text('cluster')),
    ...(dryRun ? { dry_run: true } : {}),
  }
  if (type === 'manifest') {
    if (!text('yaml')) faults.set('yaml', 'Paste what is to be applied.')
    const rest = { ...some('namespace', text('namespace')), ...some('set', text('set')) }
    return { body: { type, yaml: draft.yaml, ...rest, ...both }, faults }
  }
  if (type === 'deploy') {
    const mappings = pairs(draft.mappings, 'mappings', 'service=image', faults)
    if (Object.keys(mappings).length === 0 && !faults.has('mappings')) faults.set('mappings', 'Name at least one service.')
    return { body: { type, mappings, ...some('namespace', text('namespace')), ...both }, faults }
  }
  const sent = text('upload')
  if (!sent && !text('url')) faults.set('git', 'Say which repository.')
  const buildArgs = pairs(draft.args, 'build_args', 'NAME=value', faults)
  const tags = text('tags')
    .split(/[\s,]+/)
    .filter(Boolean)
  return {
    body: {
      type,
      ...(sent
        ? { upload: sent }
        : { git: { url: text('url'), ...some('ref', text('ref')), ...some('secret', text('secret')) } }),
      ...some('dockerfile', text('dockerfile')),
      ...some('target', text('target')),
      ...some('image', text('image')),
      ...(tags.length > 0 ? { tags } : {}),
      ...(Object.keys(buildArgs).length > 0 ? { build_args: buildArgs } : {}),
      ...both,
    },
    faults,
  }
}

function pairs(text: string, field: string, form: string, faults: Map<string, string>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const equals = line.indexOf('=')
    const [name, value] = [line.slice(0, equals).trim(), line.slice(equals + 1).trim()]
    if (equals < 1 || !name || !value) faults.set(field, `"${line.trim().slice(0, 60)}" is not of the form ${form}.`)
    else found[name] = value
  }
  return found
}

export interface Change {
  kind: string
  name: string
  change: string
  diff: string
}

/** What a look-only run found, of a manifest (`changes`) or of a deploy (`services`). */
export function changesOf(result: Record<string, unknown> | null): Change[] {
  const list = (value: unknown) => (Array.isArray(value) ? (value as Record<string, unknown>[]) : [])
  const word = (value: unknown) => (typeof value === 'string' ? value : '')
  const changes = list(result?.changes).map(one => ({
    kind: word(one.kind),
    name: word(one.name),
    change: word(one.change),
    diff: word(one.diff),
  }))
  const services = list(result?.services).map(one => {
    const before = (one.before ?? {}) as Record<string, string>
    const after = (one.after ?? {}) as Record<string, string>
    const moved = Object.keys(after).filter(name => before[name] !== after[name])
    const diff = moved.map(name => `  ${name}:\n-   ${before[name] ?? '(none)'}\n+   ${after[name]}`).join('\n')
    return { kind: word(one.kind), name: word(one.name), change: moved.length > 0 ? 'update' : 'unchanged', diff }
  })
  return [...changes, ...services]
}
