/** The few things we do to objects of the sessions' namespace. All can be done twice; nothing foreign is ever changed or removed. */
import type { KubeClient } from './kube-client.ts'
import { isKubeError, KubeError } from './kube-error.ts'
import { carries } from './labels.ts'
import { CannotRun } from './pod-spec.ts'
import type { KubeList, KubeObject } from './wire.ts'

export type Collection = 'pods' | 'persistentvolumeclaims' | 'networkpolicies'

export class ClusterObjects {
  private readonly client: KubeClient
  private readonly namespace: string

  constructor(client: KubeClient, namespace: string) {
    this.client = client
    this.namespace = namespace
  }

  path(collection: Collection, name?: string): string {
    const group = collection === 'networkpolicies' ? '/apis/networking.k8s.io/v1' : '/api/v1'
    return `${group}/namespaces/${this.namespace}/${collection}${name ? `/${name}` : ''}`
  }

  async find<T extends KubeObject>(collection: Collection, name: string, signal: AbortSignal): Promise<T | null> {
    try {
      return await this.client.request<T>({ method: 'GET', path: this.path(collection, name), priority: 'look', signal })
    } catch (error) {
      if (isKubeError(error, 404)) return null
      throw error
    }
  }

  async list<T extends KubeObject>(collection: Collection, labelSelector: string, signal: AbortSignal): Promise<T[]> {
    const query = { labelSelector }
    const path = this.path(collection)
    return (await this.client.request<KubeList<T>>({ method: 'GET', path, query, priority: 'look', signal })).items
  }

  /**
   * Makes it, or answers what is there under its name if that is ours (carries `mine`). Something foreign under our name is a refusal.
   * `patienceMs` covers what passes; a full quota or a refused admission does not.
   */
  async ensure<T extends KubeObject>(
    collection: Collection,
    object: T,
    mine: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ object: T; made: boolean }> {
    const name = object.metadata!.name!
    for (;;) {
      try {
        const path = this.path(collection)
        return {
          object: await this.client.request<T>({ method: 'POST', path, body: object, priority: 'make', signal }),
          made: true,
        }
      } catch (error) {
        if (!isKubeError(error, 409, 'AlreadyExists')) throw refusal(error, this.namespace, collection)
      }
      const there = await this.find<T>(collection, name, signal)
      if (!there) continue
      if (!carries(there, mine)) {
        throw new CannotRun(`${collection}/${name} exists in namespace ${this.namespace} and is not ours: it is left alone`)
      }
      return { object: there, made: false }
    }
  }

  async patch<T extends KubeObject>(collection: Collection, name: string, body: object, signal: AbortSignal): Promise<T> {
    const path = this.path(collection, name)
    return await this.client.request<T>({ method: 'PATCH', path, body, priority: 'make', signal })
  }

  /** Deletes exactly this uid. False: it is not there (any more). */
  async remove(collection: Collection, name: string, uid: string, signal: AbortSignal, graceSeconds?: number): Promise<boolean> {
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid },
      propagationPolicy: 'Background',
      ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }),
    }
    try {
      await this.client.request({ method: 'DELETE', path: this.path(collection, name), body, priority: 'end', signal })
      return true
    } catch (error) {
      // 409: the name is another object's now.
      if (isKubeError(error, 404) || isKubeError(error, 409)) return false
      throw error
    }
  }
}

/** The API server's words for what a person can do something about. */
function refusal(error: unknown, namespace: string, collection: Collection): unknown {
  if (!(error instanceof KubeError)) return error
  const quota = /exceeded quota: ([^,]+), requested: (.+), used: (.+), limited: (.+)$/.exec(error.message)
  if (quota) {
    const [, name, requested, used, limited] = quota
    return new CannotRun(
      `the quota "${name}" of namespace ${namespace} is full (asked for ${requested}, used ${used}, limit ${limited}): end a session or raise the quota`,
    )
  }
  if (error.status === 403) return new CannotRun(`the cluster refused its ${words[collection]}: ${error.message}`)
  if (error.status === 422 || error.status === 400)
    return new CannotRun(`the cluster calls its ${words[collection]} wrong: ${error.message}`)
  if (error.status === 404) return new CannotRun(`namespace ${namespace} does not exist`)
  return error
}

const words: Record<Collection, string> = { pods: 'pod', persistentvolumeclaims: 'volume', networkpolicies: 'network policy' }
