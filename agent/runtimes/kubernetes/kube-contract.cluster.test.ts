import { sessionsNamespace } from '../../../deploy/testing/sessions-namespace.ts'
import { exerciseKubeApi } from './testing/kube-contract.ts'

exerciseKubeApi('real', async () => {
  const place = await sessionsNamespace()
  const state = `porthole-agent-${place.environment.PORTHOLE_AGENT_NAME}`
  return { config: place.config, sessions: place.sessions, system: place.system, state, dispose: () => place.dispose() }
})
