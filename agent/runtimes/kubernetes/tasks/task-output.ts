/** What the pods of a manifest or a deploy write now, whether its job is over or not, with the rights of the project's account. */
import { type Clock, sleep } from '#agent/clock.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import type { LiveOutput } from '../../job-runtime.ts'
import { DialError, type LogOptions } from '../../runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { isKubeError } from '../kube-error.ts'
import { isSilentYet, podLog } from '../pod-logs.ts'
import type { Pod } from '../wire.ts'
import { containersOf } from './pod-streams.ts'
import { accountOf } from './project-places.ts'
import { mainContainer, podsOfTask, runs, type TaskPlace } from './task-pods.ts'

/** More are not named to the reader; they can be read all the same. */
const mostNamed = 20
/** Between two looks at a container that has not begun. */
const againMs = 1_000

export async function taskOutput(
  parts: TaskPlace & { client: KubeClient; clock: Clock },
  job: string,
  of: TerminalJob,
  options: LogOptions & { pod?: string },
  signal: AbortSignal,
): Promise<LiveOutput> {
  const pods = (await podsOfTask(parts, job, of, signal)).sort(newestFirst)
  const pod = chosen(pods, options.pod)
  const names = containersOf(pod)
  const container = options.container ?? mainContainer(pod)
  if (!names.includes(container))
    throw new DialError(404, 'not_found', `pod ${nameOf(pod)} has no container ${container}, only ${names.join(', ')}`)
  return {
    stream: `${nameOf(pod)}/${container}`,
    streams: pods.flatMap(each => containersOf(each).map(name => `${nameOf(each)}/${name}`)).slice(0, mostNamed),
    output: outputOf(parts, pod, { ...options, container, as: accountOf(parts.objects.place) }),
  }
}

/** A container that has not begun is waited for by who follows, and has said nothing to who does not. */
async function* outputOf(
  { client, clock }: { client: KubeClient; clock: Clock },
  pod: Pod,
  options: LogOptions & { as: string },
): AsyncGenerator<Uint8Array> {
  while (!options.signal.aborted) {
    try {
      return yield* podLog(client, pod, options)
    } catch (error) {
      if (options.signal.aborted) return
      if (isKubeError(error, 404)) throw new DialError(409, 'job_not_running', `pod ${nameOf(pod)} is gone`)
      if (!isSilentYet(error)) throw error
      if (!options.follow) return
      await sleep(clock, againMs, options.signal).catch(() => {})
    }
  }
}

/** Whoever names none means the newest that runs; one that has ended can be named. */
function chosen(pods: readonly Pod[], asked: string | undefined): Pod {
  const found = asked === undefined ? pods.find(runs) : pods.find(pod => nameOf(pod) === asked)
  if (found) return found
  const shown = pods.slice(0, 20).map(nameOf).join(', ')
  if (asked !== undefined) throw new DialError(404, 'not_found', `the job has no pod ${asked}${shown && `, only ${shown}`}`)
  throw new DialError(409, 'job_not_running', `no pod of the job runs${shown && `; one that does not can be named: ${shown}`}`)
}

const nameOf = (pod: Pod) => pod.metadata!.name!
const newestFirst = (a: Pod, b: Pod) =>
  (b.metadata!.creationTimestamp ?? '').localeCompare(a.metadata!.creationTimestamp ?? '') || nameOf(a).localeCompare(nameOf(b))
