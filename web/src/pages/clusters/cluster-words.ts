/** How a cluster is spoken of. */
import type { Cluster } from '../../api/contract.ts'
import type { Tone } from '../../format/session-words.ts'

export function clusterWord(cluster: Pick<Cluster, 'status' | 'scheduling'>): { word: string; tone: Tone; moving: boolean } {
  if (cluster.status === 'pending') return { word: 'Waiting for its agent', tone: 'wait', moving: true }
  if (cluster.status === 'offline') return { word: 'Offline', tone: 'bad', moving: false }
  if (cluster.scheduling === 'draining') return { word: 'Draining', tone: 'warn', moving: true }
  if (cluster.scheduling === 'cordoned') return { word: 'Cordoned', tone: 'warn', moving: false }
  if (cluster.status === 'online') return { word: 'Online', tone: 'good', moving: false }
  return { word: cluster.status, tone: 'quiet', moving: false }
}

/** What the API takes for a name; said before it is sent. */
export function nameFault(name: string): string | null {
  if (!name.trim()) return 'Give it a name.'
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name.trim())) return 'Lower-case letters, digits and dashes, up to 63.'
  return null
}

/** What waits for the person first, then as one looks things up. */
export function pendingThenName(a: Pick<Cluster, 'status' | 'name'>, b: Pick<Cluster, 'status' | 'name'>): number {
  const waits = Number(b.status === 'pending') - Number(a.status === 'pending')
  return waits || a.name.localeCompare(b.name)
}
