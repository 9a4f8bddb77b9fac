/**
 * What a manifest leaves out is filled in so that its pods hold under the *restricted* Pod Security Standard. Only for objects that passed the
 * rules: nothing here overwrites something that was allowed.
 */
import type { Kind } from './kinds.ts'
import { isObject, type Json, type JsonObject } from './rules.ts'

export function harden(body: JsonObject, kind: Kind, namespace: string | null): JsonObject {
  const { status: _, ...rest } = structuredClone(body)
  const metadata = isObject(rest.metadata) ? (rest.metadata as JsonObject) : {}
  const object: JsonObject = { ...rest, metadata: { ...metadata, ...(namespace !== null && { namespace }) } }
  if (kind.kind === 'Service' && isObject(object.spec)) named(object.spec as JsonObject)
  if (!kind.podSpec) return object
  let spec: Json | undefined = object
  for (const step of kind.podSpec) spec = isObject(spec) ? (spec as JsonObject)[step] : undefined
  if (isObject(spec)) hardenPod(spec as JsonObject)
  // A Deployment needs nothing said; a Job does.
  if (isObject(spec) && (kind.kind === 'Job' || kind.kind === 'CronJob')) (spec as JsonObject).restartPolicy ??= 'Never'
  return object
}

function hardenPod(spec: JsonObject): void {
  spec.automountServiceAccountToken = false
  spec.enableServiceLinks ??= false
  spec.securityContext = { ...part(spec.securityContext), runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }
  for (const field of ['initContainers', 'containers']) {
    const containers = spec[field]
    if (!Array.isArray(containers)) continue
    spec[field] = containers.map(item => {
      const container = { ...part(item) }
      named(container)
      const security = part(container.securityContext)
      const capabilities = { ...part(security.capabilities), drop: ['ALL'] }
      return { ...container, securityContext: { ...security, allowPrivilegeEscalation: false, capabilities } }
    })
  }
}

/** Ports are told apart by number and protocol; older API servers do not fill it in when something is applied. */
function named(holder: JsonObject): void {
  if (Array.isArray(holder.ports)) holder.ports = holder.ports.map(port => ({ protocol: 'TCP', ...part(port) }))
}

function part(value: Json | undefined): JsonObject {
  return isObject(value) ? (value as JsonObject) : {}
}
