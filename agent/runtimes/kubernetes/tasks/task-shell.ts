/** Terminals in what manifests and deploys run, with the rights of the project's account. */
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { DialError, type Shell, type ShellOrder } from '../../runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { podShell } from '../pod-shell.ts'
import type { Pod } from '../wire.ts'
import { accountOf } from './project-places.ts'
import { mainContainer, podsOfTask, runs, type TaskPlace } from './task-pods.ts'

export async function taskShell(
  parts: TaskPlace & { client: KubeClient },
  job: string,
  of: TerminalJob,
  order: ShellOrder,
  signal: AbortSignal,
): Promise<Shell> {
  const { client, objects } = parts
  const pod = chosen((await podsOfTask(parts, job, of, signal)).filter(runs), order.pod)
  const names = (pod.spec?.containers ?? []).map(({ name }) => name)
  const container = order.container ?? mainContainer(pod)
  if (!names.includes(container))
    throw new DialError(404, 'not_found', `pod ${pod.metadata!.name} has no container ${container}, only ${names.join(', ')}`)
  const place = { namespace: objects.place.namespace, pod: pod.metadata!.name!, container, as: accountOf(objects.place) }
  return await podShell(client, place, order, signal)
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
