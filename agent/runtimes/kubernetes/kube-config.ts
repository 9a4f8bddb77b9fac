/** Where the API server is and who we are there: a kubeconfig file, or the ServiceAccount of the pod we run in. */
import { KubeConfig } from '@kubernetes/client-node'

export function loadKubeConfig(kubeconfig: string | undefined): { config: KubeConfig; inCluster: boolean } {
  const config = new KubeConfig()
  if (kubeconfig) {
    // As kubectl reads it: several files, the first one's context counts.
    const [first, ...others] = kubeconfig.split(':').filter(Boolean)
    config.loadFromFile(first!)
    for (const file of others) {
      const more = new KubeConfig()
      more.loadFromFile(file)
      config.mergeConfig(more, true)
    }
    if (!config.getCurrentCluster()) throw new Error(`${kubeconfig} names no current cluster`)
    return { config, inCluster: false }
  }
  config.loadFromCluster()
  return { config, inCluster: true }
}
