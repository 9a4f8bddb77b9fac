import { exerciseKubeApi } from './testing/kube-contract.ts'
import { KubeDouble } from './testing/kube-double.ts'

exerciseKubeApi('double', async () => {
  const double = await KubeDouble.start()
  double.put('/api/v1/namespaces/system/secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'state' } })
  double.watches.forgetHistory()
  return { config: double.config, sessions: 'sessions', system: 'system', state: 'state', dispose: () => double.close() }
})
