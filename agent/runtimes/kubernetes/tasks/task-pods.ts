/** The pods of what manifests and deploys run: only those that carry this project's labels, which nobody but us can write. */
import { findKind } from '#protocol/manifest/kinds.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { selectorText } from '../labels.ts'
import type { Pod } from '../wire.ts'
import { podsOf } from './health-wait.ts'
import { ofProject, ofSet } from './manifest-labels.ts'
import type { PlaceObjects } from './place-objects.ts'

const services = { deployment: findKind('apps/v1', 'Deployment')!, statefulset: findKind('apps/v1', 'StatefulSet')! }
const defaultContainer = 'kubectl.kubernetes.io/default-container'

export interface TaskPlace {
  objects: PlaceObjects
  agent: string
}

export async function podsOfTask(
  { objects, agent }: TaskPlace,
  job: string,
  of: TerminalJob,
  signal: AbortSignal,
): Promise<Pod[]> {
  if (of.type === 'deploy') return await podsOfServices(objects, agent, of, signal)
  return await objects.pods(selectorText(ofSet({ agent, project: of.project, set: of.set ?? job })), signal)
}

/** Those of the services that were deployed, as far as this project applied them. */
async function podsOfServices(objects: PlaceObjects, agent: string, of: TerminalJob, signal: AbortSignal): Promise<Pod[]> {
  const found = new Map<string, Pod>()
  for (const service of of.services ?? []) {
    const steps = service.split('/')
    const given = steps[0] === 'deployment' || steps[0] === 'statefulset' ? (steps.shift() as keyof typeof services) : null
    for (const kind of given ? [services[given]] : Object.values(services)) {
      const live = await objects.find(kind, steps[0] ?? '', signal)
      const selector = live && podsOf(kind, live)
      if (!selector) continue
      const mine = selectorText(ofProject({ agent, project: of.project }))
      for (const pod of await objects.pods(`${selector},${mine}`, signal)) found.set(pod.metadata!.name!, pod)
    }
  }
  return [...found.values()]
}

export const runs = ({ status, metadata }: Pod) => status?.phase === 'Running' && !metadata?.deletionTimestamp

/** The container people mean when they name none. */
export const mainContainer = (pod: Pod): string =>
  pod.metadata?.annotations?.[defaultContainer] ?? pod.spec?.containers?.[0]?.name ?? ''
