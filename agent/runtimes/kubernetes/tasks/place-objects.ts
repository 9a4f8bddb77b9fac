/** A project's objects, with the rights of the project's account. The only thing here that speaks to the API server about them. */
import type { Kind } from '#protocol/manifest/kinds.ts'
import type { JsonObject } from '#protocol/manifest/rules.ts'
import type { KubeClient } from '../kube-client.ts'
import { isKubeError } from '../kube-error.ts'
import type { KubeEvent, KubeList, KubeObject, Pod } from '../wire.ts'
import { accountOf, type ProjectPlace } from './project-places.ts'

export type Live = KubeObject & { spec?: Record<string, unknown>; status?: Record<string, unknown>; [field: string]: unknown }

const fieldManager = 'porthole'
const passingMs = 20_000

export class PlaceObjects {
  readonly place: ProjectPlace
  private readonly client: KubeClient
  private readonly as: string

  constructor(client: KubeClient, place: ProjectPlace) {
    this.client = client
    this.place = place
    this.as = accountOf(place)
  }

  private path({ apiVersion, plural }: Pick<Kind, 'apiVersion' | 'plural'>, name?: string): string {
    const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    return `${group}/namespaces/${this.place.namespace}/${plural}${name ? `/${name}` : ''}`
  }

  async find(kind: Kind, name: string, signal: AbortSignal): Promise<Live | null> {
    try {
      return await this.client.request<Live>({
        method: 'GET',
        path: this.path(kind, name),
        as: this.as,
        priority: 'look',
        signal,
      })
    } catch (error) {
      if (isKubeError(error, 404)) return null
      throw error
    }
  }

  /** A kind that this cluster does not have holds nothing. */
  async list(kind: Pick<Kind, 'apiVersion' | 'kind' | 'plural'>, labelSelector: string, signal: AbortSignal): Promise<Live[]> {
    const request = {
      method: 'GET' as const,
      path: this.path(kind),
      query: { labelSelector },
      as: this.as,
      priority: 'look' as const,
      signal,
    }
    try {
      const { items } = await this.client.request<KubeList<Live>>(request)
      return items.map(item => ({ apiVersion: kind.apiVersion, kind: kind.kind, ...item }))
    } catch (error) {
      if (isKubeError(error, 404)) return []
      throw error
    }
  }

  /** Server-side apply. `dryRun`: the answer is what it would become. */
  async apply(kind: Kind, body: JsonObject, name: string, { dryRun }: { dryRun: boolean }, signal: AbortSignal): Promise<Live> {
    return await this.client.request<Live>({
      method: 'PATCH',
      patch: 'apply',
      path: this.path(kind, name),
      query: { fieldManager, force: true, ...(dryRun && { dryRun: 'All' }) },
      body,
      as: this.as,
      priority: 'make',
      patienceMs: passingMs,
      signal,
    })
  }

  /** Strategic merge: of a list of containers only the named ones change. */
  async merge(kind: Kind, name: string, body: JsonObject, { dryRun }: { dryRun: boolean }, signal: AbortSignal): Promise<Live> {
    const query = { fieldManager, ...(dryRun && { dryRun: 'All' }) }
    return await this.client.request<Live>({
      method: 'PATCH',
      patch: 'strategic',
      path: this.path(kind, name),
      query,
      body,
      as: this.as,
      priority: 'make',
      patienceMs: passingMs,
      signal,
    })
  }

  /** Deletes exactly this one, and what it made. Resolves once it is told; false: it was gone. */
  async remove(kind: Kind, name: string, uid: string, signal: AbortSignal): Promise<boolean> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid }, propagationPolicy: 'Foreground' }
    try {
      await this.client.request({ method: 'DELETE', path: this.path(kind, name), body, as: this.as, priority: 'end', signal })
      return true
    } catch (error) {
      if (isKubeError(error, 404) || isKubeError(error, 409)) return false
      throw error
    }
  }

  async pods(labelSelector: string, signal: AbortSignal): Promise<Pod[]> {
    const path = this.path({ apiVersion: 'v1', plural: 'pods' })
    const { items } = await this.client.request<KubeList<Pod>>({
      method: 'GET',
      path,
      query: { labelSelector },
      as: this.as,
      priority: 'look',
      signal,
    })
    return items
  }

  /** The end of what a container said; empty where there is nothing (yet). */
  async lastWords(pod: string, container: string, previous: boolean, signal: AbortSignal): Promise<string> {
    const path = `${this.path({ apiVersion: 'v1', plural: 'pods' }, pod)}/log`
    const query = { container, previous, tailLines: 20, limitBytes: 8192 }
    try {
      const answer = await this.client.stream({
        method: 'GET',
        path,
        query,
        as: this.as,
        priority: 'look',
        signal,
        patienceMs: 0,
      })
      const chunks: Buffer[] = []
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
      return Buffer.concat(chunks).toString('utf8')
    } catch {
      return ''
    }
  }

  /** Why the API server says something does not come about; newest last. */
  async warnings(kind: string, name: string, signal: AbortSignal): Promise<string[]> {
    const path = this.path({ apiVersion: 'v1', plural: 'events' })
    const query = { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name},type=Warning` }
    try {
      const { items } = await this.client.request<KubeList<KubeEvent>>({
        method: 'GET',
        path,
        query,
        as: this.as,
        priority: 'look',
        signal,
        patienceMs: 0,
      })
      return items.map(event => event.message ?? '').filter(message => message !== '')
    } catch {
      return []
    }
  }
}
