/**
 * The agent's key and memory in a Secret that the chart made, empty, one field each: the pod that kept them may go, its successor finds them.
 * A merge patch of one field is atomic and leaves the other alone.
 */
import { StateError } from '#agent/sessions/agent-memory.ts'
import type { TextStore } from '#agent/sessions/state-file.ts'
import type { KubeClient } from './kube-client.ts'
import { isKubeError } from './kube-error.ts'
import type { Secret } from './wire.ts'

export interface AgentSecretParts {
  client: KubeClient
  namespace: string
  name: string
  signal: AbortSignal
}

export function secretStore({ client, namespace, name, signal }: AgentSecretParts, field: string): TextStore {
  const path = `/api/v1/namespaces/${namespace}/secrets/${name}`
  const forPeople = (error: unknown) => {
    if (isKubeError(error, 404)) return new StateError(`the Secret ${name} is not in namespace ${namespace}: the chart makes it`)
    if (isKubeError(error, 403)) return new StateError(`the agent may not use its Secret ${name}: ${error.message}`)
    return error
  }
  return {
    async load() {
      try {
        const secret = await client.request<Secret>({ method: 'GET', path, priority: 'end', signal })
        const text = (secret.data as Record<string, string> | undefined)?.[field]
        return text === undefined ? null : Buffer.from(text, 'base64').toString('utf8')
      } catch (error) {
        throw forPeople(error)
      }
    },
    async save(text) {
      try {
        const body = { data: { [field]: Buffer.from(text, 'utf8').toString('base64') } }
        await client.request({ method: 'PATCH', path, body, priority: 'end', signal })
      } catch (error) {
        throw forPeople(error)
      }
    },
  }
}
