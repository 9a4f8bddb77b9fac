/**
 * A manifest's text to the objects that will be applied, or to what is wrong with it. The API uses it to answer at once with pointers; the agent
 * uses it again on what reached it, for a compromised API must not get more than an honest one.
 */
import { parseText } from './document-text.ts'
import type { Fault, Path } from './fault.ts'
import { harden } from './harden.ts'
import { findKind, type Kind, kinds, objectRule } from './kinds.ts'
import { Findings, isObject, type JsonObject } from './rules.ts'

export interface ManifestObject {
  kind: Kind
  name: string
  /** Hardened and complete: this is what is sent. */
  body: JsonObject
}

export type CheckedManifest = { ok: true; objects: ManifestObject[] } | { ok: false; faults: Fault[] }

const mostObjects = 100
const reserved = new Set(['ConfigMap/kube-root-ca.crt', 'Service/kubernetes'])

/** `namespace` null: not known yet; then none may be written. */
export function checkManifest(text: string, { namespace }: { namespace: string | null }): CheckedManifest {
  const parsed = parseText(text)
  const findings = new Findings()
  const found = parsed.documents.flatMap(({ index, value }) => unfold(value, [index], findings))
  if (found.length > mostObjects) findings.tell([], `has more than ${mostObjects} objects`)
  const objects = found.slice(0, mostObjects).flatMap(({ value, path }) => checkObject(value, path, namespace, findings))
  if (found.length === 0 && parsed.faults.length === 0 && findings.faults.length === 0) findings.tell([], 'holds no object')
  tellTwice(found, findings)
  const faults = [...parsed.faults, ...findings.faults.map(fault => withLine(fault, parsed.lineOf))]
  return faults.length > 0 ? { ok: false, faults } : { ok: true, objects }
}

interface Found {
  value: unknown
  path: Path
}

/** A `List` is the objects in it. */
function unfold(value: unknown, path: Path, findings: Findings): Found[] {
  if (!isObject(value) || value.apiVersion !== 'v1' || value.kind !== 'List') return [{ value, path }]
  for (const key of Object.keys(value)) {
    if (!['apiVersion', 'kind', 'items', 'metadata'].includes(key))
      findings.tell([...path, key], `the field ${key.slice(0, 60)} is not accepted`)
  }
  if (!Array.isArray(value.items)) {
    findings.tell([...path, 'items'], 'must be a list')
    return []
  }
  return value.items.flatMap((item, at) => unfold(item, [...path, 'items', at], findings))
}

function checkObject(value: unknown, path: Path, namespace: string | null, findings: Findings): ManifestObject[] {
  if (!isObject(value)) {
    findings.tell(path, 'must be an object')
    return []
  }
  const kind = findKind(value.apiVersion, value.kind)
  if (!kind) {
    const known = kinds.find(({ kind }) => kind === value.kind)
    if (known) findings.tell([...path, 'apiVersion'], `must be ${known.apiVersion} for a ${known.kind}`)
    else
      findings.tell(
        [...path, 'kind'],
        `the kind ${String(value.kind ?? '(none)').slice(0, 60)} is not accepted: only ${accepted}`,
      )
    return []
  }
  const cleaned = withoutNulls(value) as JsonObject
  objectRule(kind, namespace)(cleaned, path, findings)
  const name = isObject(cleaned.metadata) ? cleaned.metadata.name : undefined
  if (typeof name !== 'string') return []
  if (reserved.has(`${kind.kind}/${name}`)) findings.tell([...path, 'metadata', 'name'], 'is the cluster’s own')
  return [{ kind, name, body: harden(cleaned, kind, namespace) }]
}

const accepted = [...new Set(kinds.map(({ kind }) => kind))].join(', ')

function tellTwice(found: Found[], findings: Findings): void {
  const seen = new Set<string>()
  for (const { value, path } of found) {
    if (!isObject(value) || !isObject(value.metadata)) continue
    const id = `${value.kind}/${value.metadata.name}`
    if (seen.has(id)) findings.tell([...path, 'metadata', 'name'], `${id.slice(0, 100)} is there twice`)
    seen.add(id)
  }
}

/** An empty field is an absent one, as in Kubernetes. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, withoutNulls(item)]),
  )
}

function withLine(fault: Fault, lineOf: (path: Path) => number | null): Fault {
  const path = fault.pointer
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const line = path.length > 0 ? lineOf(path.map((step, at) => (at === 0 ? Number(step) : step))) : null
  return line === null ? fault : { ...fault, line }
}
