/** Kubernetes objects as they travel: client-node's types, with times as text and the names its generator mangled put right. */
import type {
  CoreV1Event,
  V1Lease,
  V1NetworkPolicy,
  V1Node,
  V1PersistentVolumeClaim,
  V1Pod,
  V1ResourceQuota,
  V1Secret,
} from '@kubernetes/client-node'

export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Key in keyof T as Key extends `_${infer Name}` ? Name : Key]: Wire<T[Key]> }
      : T

export type Pod = Wire<V1Pod>
export type PodSpec = NonNullable<Pod['spec']>
export type Container = PodSpec['containers'][number]
export type Volume = NonNullable<PodSpec['volumes']>[number]
export type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]
export type Claim = Wire<V1PersistentVolumeClaim>
export type NetworkPolicy = Wire<V1NetworkPolicy>
export type NetworkPolicySpec = NonNullable<NetworkPolicy['spec']>
export type NetworkPeer = NonNullable<NonNullable<NonNullable<NetworkPolicySpec['ingress']>[number]['from']>>[number]
export type KubeEvent = Wire<CoreV1Event>
export type KubeNode = Wire<V1Node>
export type Quota = Wire<V1ResourceQuota>
export type Secret = Wire<V1Secret>
export type Lease = Wire<V1Lease>

export interface KubeObject {
  apiVersion?: string
  kind?: string
  metadata?: Pod['metadata']
}

export interface KubeList<T> {
  metadata: { resourceVersion?: string; continue?: string }
  items: T[]
}

/** What the API server answers instead of an object. */
export interface KubeStatus {
  kind: 'Status'
  status?: 'Success' | 'Failure'
  message?: string
  reason?: string
  code?: number
  details?: { retryAfterSeconds?: number; name?: string; kind?: string; causes?: { reason?: string; message?: string }[] }
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  object: T | KubeStatus
}
