/** Terminals in what manifests and deploys run: only in pods that carry this project's labels, which nobody but us can write, with its account's rights. */
import { findKind } from '#protocol/manifest/kinds.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { DialError, type Shell, type ShellOrder } from '../../runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { selectorText } from '../labels.ts'
import { podShell } from '../pod-shell.ts'
import type { Pod } from '../wire.ts'
import { podsOf } from './health-wait.ts'
import { ofProject, ofSet } from './manifest-labels.ts'
import type { PlaceObjects } from './place-objects.ts'
import { accountOf } from './project-places.ts'

const services = { deployment: findKind('apps/v1', 'Deployment')!, statefulset: findKind('apps/v1', 'StatefulSet')! }
const defaultContainer = 'kubectl.kubernetes.io/default-container'

export async function taskShell(
  parts: { client: KubeClient; objects: PlaceObjects; agent: string },
  job: string,
  of: TerminalJob,
  order: ShellOrder,
  signal: AbortSignal,
): Promise<Shell> {
  const { client, objects, agent } = parts
  const all =
    of.type === 'deploy' ? await podsOfServices(objects, agent, of, signal) : await podsOfSet(objects, agent, job, of, signal)
  const pod = chosen(
    all.filter(each => each.status?.phase === 'Running' && !each.metadata?.deletionTimestamp),
    order.pod,
  )
  const names = (pod.spec?.containers ?? []).map(({ name }) => name)
  const container = order.container ?? pod.metadata?.annotations?.[defaultContainer] ?? names[0]!
  if (!names.includes(container))
    throw new DialError(404, 'not_found', `pod ${pod.metadata!.name} has no container ${container}, only ${names.join(', ')}`)
  const place = { namespace: objects.place.namespace, pod: pod.metadata!.name!, container, as: accountOf(objects.place) }
  return await podShell(client, place, order, signal)
}

function podsOfSet(objects: PlaceObjects, agent: string, job: string, { project, set }: TerminalJob, signal: AbortSignal) {
  return objects.pods(selectorText(ofSet({ agent, project, set: set ?? job })), signal)
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

function chosen(pods: readonly Pod[], asked: string | undefined): Pod {
  const names = pods.map(pod => pod.metadata!.name!).sort()
  const shown = names.slice(0, 20).join(', ')
  if (asked !== undefined) {
    const found = pods.find(pod => pod.metadata!.name === asked)
    if (found) return found
    throw new DialError(404, 'not_found', `the job has no pod ${asked} that runs${shown ? `, only ${shown}` : ''}`)
  }
  if (pods.length === 1) return pods[0]!
  if (pods.length === 0) throw new DialError(503, 'target_gone', 'no pod of the job runs')
  throw new DialError(422, 'invalid', `several pods of the job run, say which: ${shown}`)
}
