/**
 * A task's attempt as a ConfigMap of its name: that it exists is what says it was begun, what is in it is what is known of it. What it was asked for is
 * in a Secret beside it, for manifests hold secrets. Both are in the project's namespace, made with the project's rights: the agent needs none of its
 * own. Output is told to others only once it is in here, so a kill never takes back what was told.
 */
import { z } from 'zod'
import { JobProgress, JobResource, jobCauses, jobOutcomes, jobTypes } from '#protocol/job-spec.ts'
import type { KubeClient } from '../kube-client.ts'
import { isKubeError } from '../kube-error.ts'
import { label, labelValue, ownLabels, selectorText } from '../labels.ts'
import type { KubeList, KubeObject } from '../wire.ts'
import { accountOf, type ProjectPlace } from './project-places.ts'

export const TaskState = z.object({
  job: z.string(),
  attempt: z.int(),
  project: z.string(),
  type: z.enum(jobTypes),
  phase: z.enum(['running', 'stopping', 'ended']),
  outcome: z.enum(jobOutcomes).optional(),
  cause: z.enum(jobCauses).optional(),
  reason: z.string().optional(),
  startedAt: z.number(),
  endedAt: z.number().nullable(),
  timeoutMs: z.number(),
  progress: JobProgress.nullable(),
  resources: z.array(JobResource),
  /** Beside its own output: `pod/container`. */
  streams: z.array(z.string()).default([]),
  result: z.record(z.string(), z.unknown()).nullable(),
  memory: z.unknown(),
})
export type TaskState = z.infer<typeof TaskState>

type RecordMap = KubeObject & { data?: Record<string, string> }

export interface KeptTask {
  name: string
  uid: string
  state: TaskState
  log: string
}

export class TaskRecords {
  private readonly client: KubeClient
  private readonly agent: string
  private readonly namespace: string
  private readonly as: string

  constructor(client: KubeClient, agent: string, place: ProjectPlace) {
    this.client = client
    this.agent = agent
    this.namespace = place.namespace
    this.as = accountOf(place)
  }

  private path(collection: 'configmaps' | 'secrets', name?: string): string {
    return `/api/v1/namespaces/${this.namespace}/${collection}${name ? `/${name}` : ''}`
  }

  /** Makes both, or answers what is there under this name. */
  async create(name: string, state: TaskState, spec: unknown, signal: AbortSignal): Promise<KeptTask> {
    const labels = { ...ownLabels(this.agent, 'task'), [label.project]: labelValue(state.project) }
    const metadata = { name, namespace: this.namespace, labels }
    await this.post('secrets', { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { spec: JSON.stringify(spec) } }, signal)
    const data = { state: JSON.stringify(state), log: '' }
    await this.post('configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }, signal)
    const found = await this.client.request<RecordMap>({
      method: 'GET',
      as: this.as,
      path: this.path('configmaps', name),
      priority: 'look',
      signal,
    })
    const kept = readRecord(found)
    if (!kept) throw new Error(`ConfigMap ${name} is there and is not a task of ours`)
    return kept
  }

  private async post(collection: 'configmaps' | 'secrets', body: object, signal: AbortSignal): Promise<void> {
    try {
      await this.client.request({ method: 'POST', as: this.as, path: this.path(collection), body, priority: 'make', signal })
    } catch (error) {
      if (!isKubeError(error, 409, 'AlreadyExists')) throw error
    }
  }

  async all(signal: AbortSignal): Promise<KeptTask[]> {
    const query = { labelSelector: selectorText(ownLabels(this.agent, 'task')) }
    const { items } = await this.client.request<KubeList<RecordMap>>({
      method: 'GET',
      as: this.as,
      path: this.path('configmaps'),
      query,
      priority: 'look',
      signal,
    })
    return items.flatMap(item => readRecord(item) ?? [])
  }

  async spec(name: string, signal: AbortSignal): Promise<unknown> {
    const path = this.path('secrets', name)
    const { data } = await this.client.request<{ data?: Record<string, string> }>({
      method: 'GET',
      as: this.as,
      path,
      priority: 'look',
      signal,
    })
    return JSON.parse(Buffer.from(data?.spec ?? '', 'base64').toString('utf8'))
  }

  async save(name: string, state: TaskState, log: string | null, signal: AbortSignal): Promise<void> {
    const body = { data: { state: JSON.stringify(state), ...(log !== null && { log }) } }
    await this.client.request({
      method: 'PATCH',
      as: this.as,
      path: this.path('configmaps', name),
      body,
      priority: 'make',
      patienceMs: 60_000,
      signal,
    })
  }

  async remove(name: string, uid: string, signal: AbortSignal): Promise<void> {
    const end = async (collection: 'configmaps' | 'secrets', body: object) => {
      try {
        await this.client.request({
          method: 'DELETE',
          as: this.as,
          path: this.path(collection, name),
          body,
          priority: 'end',
          signal,
        })
      } catch (error) {
        if (!isKubeError(error, 404) && !isKubeError(error, 409)) throw error
      }
    }
    await end('secrets', {})
    await end('configmaps', { preconditions: { uid } })
  }
}

function readRecord({ metadata, data }: RecordMap): KeptTask | null {
  try {
    const state = TaskState.parse(JSON.parse(data?.state ?? ''))
    return { name: metadata!.name!, uid: metadata!.uid!, state, log: data?.log ?? '' }
  } catch {
    return null
  }
}
