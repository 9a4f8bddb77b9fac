/**
 * One agent acts, the others wait: a Lease with a holder's name. Nobody compares two machines' clocks: a waiting agent takes over when the Lease
 * has not changed for its whole duration on the waiting agent's own clock, and the holder stops trusting itself earlier, counted from when it sent
 * its last good renewal. That is not a fence (deterministic names and deletes by uid are), only peace and quiet.
 */
import { type Clock, sleep } from '#agent/clock.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import type { KubeClient } from './kube-client.ts'
import { isKubeError } from './kube-error.ts'
import type { Lease } from './wire.ts'

/** trust < duration: the holder is silent before anybody takes over. Long enough for a starved node or etcd; sessions need no agent meanwhile. */
export const leaseTiming = { duration: 30_000, trust: 20_000, renew: 5_000, look: 2_000, retry: 1_000 } as const

export interface AgentLeaseParts {
  client: KubeClient
  namespace: string
  name: string
  /** A restarted container of one pod has the same name: it need not wait for itself. */
  holder: string
  clock: Clock
  log: Log
}

export interface HeldLease {
  /** Aborts when we may not be the only one any more. */
  lost: AbortSignal
  /** Lets the next one begin at once; nothing when it is lost. */
  release(): Promise<void>
}

/** Resolves once the Lease is ours, or rejects with the signal's reason. */
export async function holdLease(parts: AgentLeaseParts, signal: AbortSignal): Promise<HeldLease> {
  const { clock, log, holder, name } = parts
  let seen = { version: 'nothing yet', at: 0 }
  let told = false
  for (;;) {
    signal.throwIfAborted()
    try {
      const sentAt = clock.now()
      const there = await read(parts, signal)
      const version = there?.metadata?.resourceVersion ?? ''
      if (seen.version !== version) seen = { version, at: clock.now() }
      const other = there?.spec?.holderIdentity
      const free = !other || other === holder || clock.now() - seen.at >= leaseTiming.duration
      if (free) return renewing(parts, await write(parts, there, holder, signal), sentAt)
      if (!told) log.info('another agent is active, standing by', { lease: name, holder: other })
      told = true
    } catch (error) {
      signal.throwIfAborted()
      // Somebody was faster: look again at who.
      if (!isKubeError(error, 409) && !isKubeError(error, 404))
        log.warn('the Lease cannot be taken', { error: whatFailed(error) })
    }
    await sleep(clock, leaseTiming.look, signal)
  }
}

function renewing(parts: AgentLeaseParts, first: Lease, sentAt: number): HeldLease {
  const { clock, log, holder } = parts
  const lost = new AbortController()
  const over = new AbortController()
  let lease = first
  const lose = (why: string) => {
    if (over.signal.aborted || lost.signal.aborted) return
    log.error('the Lease is lost, another agent may be active', { reason: why })
    lost.abort(new Error(`the Lease is lost: ${why}`))
    over.abort()
  }
  const trustFrom = (sent: number) =>
    clock.after(leaseTiming.trust - (clock.now() - sent), () => lose(`not renewed for ${leaseTiming.trust / 1000} s`))
  let endTrust = trustFrom(sentAt)

  async function renewOnce(): Promise<void> {
    const sent = clock.now()
    try {
      lease = await write(parts, lease, holder, over.signal)
    } catch (error) {
      if (!isKubeError(error, 409) && !isKubeError(error, 404)) throw error
      // Ours after all when only the answer to the last renewal was lost.
      const there = await read(parts, over.signal)
      if (there && there.spec?.holderIdentity !== holder) return lose(`${there.spec?.holderIdentity || 'nobody'} holds it`)
      lease = await write(parts, there, holder, over.signal)
    }
    endTrust()
    if (!over.signal.aborted) endTrust = trustFrom(sent)
  }

  const loop = async () => {
    let wait: number = leaseTiming.renew
    while (!over.signal.aborted) {
      await sleep(clock, wait, over.signal)
      if (over.signal.aborted) return
      try {
        await renewOnce()
        wait = leaseTiming.renew
      } catch (error) {
        if (over.signal.aborted) return
        log.warn('the Lease could not be renewed', { error: whatFailed(error) })
        wait = leaseTiming.retry
      }
    }
  }
  const running = loop()
  return {
    lost: lost.signal,
    async release() {
      over.abort()
      endTrust()
      await running
      if (lost.signal.aborted) return
      // Not ours to insist: without this the next one only waits longer.
      await write(parts, lease, '', AbortSignal.timeout(2_000)).catch(() => {})
    },
  }
}

async function read({ client, namespace, name }: AgentLeaseParts, signal: AbortSignal): Promise<Lease | null> {
  try {
    return await client.request<Lease>({ method: 'GET', path: pathOf(namespace, name), priority: 'end', signal, patienceMs: 0 })
  } catch (error) {
    if (isKubeError(error, 404)) return null
    throw error
  }
}

/** Only if nobody wrote since `there` was read. */
async function write(parts: AgentLeaseParts, there: Lease | null, holder: string, signal: AbortSignal): Promise<Lease> {
  const { client, namespace, name, clock } = parts
  const now = new Date(clock.wall()).toISOString().replace('Z', '000Z')
  const before = there?.spec
  const changes = (before?.holderIdentity ?? '') !== holder
  const body = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...there?.metadata, name, namespace },
    spec: {
      ...before,
      holderIdentity: holder,
      leaseDurationSeconds: leaseTiming.duration / 1000,
      renewTime: now,
      ...(changes && { acquireTime: now, leaseTransitions: (before?.leaseTransitions ?? 0) + 1 }),
    },
  }
  const how = there ? { method: 'PUT', path: pathOf(namespace, name) } : { method: 'POST', path: pathOf(namespace) }
  return await client.request<Lease>({
    ...(how as { method: 'PUT' | 'POST'; path: string }),
    body,
    priority: 'end',
    signal,
    patienceMs: 0,
  })
}

function pathOf(namespace: string, name?: string): string {
  return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases${name ? `/${name}` : ''}`
}
