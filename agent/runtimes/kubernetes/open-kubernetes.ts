/**
 * The Kubernetes runtime from its settings. In a cluster the agent's key and memory are in its Secret, and of several agents one acts (Lease);
 * outside, with a kubeconfig, both are files as on any machine, and the API's epoch alone tells agents apart.
 */
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '#agent/clock.ts'
import type { Log } from '#agent/log.ts'
import { fileStore } from '#agent/sessions/state-file.ts'
import type { OpenedRuntime } from '../opened-runtime.ts'
import { holdLease } from './agent-lease.ts'
import { secretStore } from './agent-secret.ts'
import { createKubeClient } from './kube-client.ts'
import { loadKubeConfig } from './kube-config.ts'
import { createKubernetesRuntime } from './kubernetes-runtime.ts'
import { kubernetesSettings } from './settings.ts'

export interface OpenKubernetesParts {
  environment: Record<string, string | undefined>
  /** Outside a cluster: where key and memory are kept. */
  dataDir: string
  clock: Clock
  random: () => number
  log: Log
}

/** Resolves once this agent is the one that acts. */
export async function openKubernetes(parts: OpenKubernetesParts, signal: AbortSignal): Promise<OpenedRuntime> {
  const { environment, dataDir, clock, random, log } = parts
  const settings = kubernetesSettings(environment)
  const { config, inCluster } = loadKubeConfig(settings.kubeconfig)
  const options = { settings, config, inCluster, clock, random, log }
  if (!inCluster) {
    const runtime = await createKubernetesRuntime(options)
    return {
      runtime,
      keyStore: fileStore(join(dataDir, 'key.json')),
      stateStore: fileStore(join(dataDir, 'state.json')),
      lost: null,
      close: () => runtime.close(),
    }
  }
  // A client of its own: what holds back the requests about sessions must not cost us the Lease.
  const client = createKubeClient({ config, clock, random })
  const name = `porthole-agent-${settings.agentName}`
  const namespace = settings.systemNamespace
  const life = new AbortController()
  const lease = await holdLease({ client, namespace, name, holder: hostname(), clock, log }, signal)
  // What an agent that lost the Lease remembers must not overwrite what its successor does.
  const stores = { client, namespace, name, signal: AbortSignal.any([life.signal, lease.lost]) }
  const end = async () => {
    await lease.release()
    life.abort(new Error('the agent stops'))
    client.close()
  }
  try {
    const runtime = await createKubernetesRuntime(options)
    const close = async () => {
      await runtime.close()
      await end()
    }
    return { runtime, keyStore: secretStore(stores, 'key'), stateStore: secretStore(stores, 'state'), lost: lease.lost, close }
  } catch (error) {
    await end()
    throw error
  }
}
