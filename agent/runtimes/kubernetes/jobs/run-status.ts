/** A job's pod -> the attempt as it is. Pure. */
import type { JobCause, JobOutcome } from '#protocol/job-spec.ts'
import { buildReason, readResults } from '../../build-script.ts'
import type { JobInstance } from '../../job-runtime.ts'
import { outOfMemory, podEnding, readCondemned, sentence } from '../pod-ending.ts'
import { podWaiting } from '../pod-waiting.ts'
import type { Pod } from '../wire.ts'
import { isBuild } from './build-pod.ts'
import { awaitsContext } from './pod-context.ts'
import { runAnnotation, runLabel } from './run-pod.ts'

/** `hopeless`: why it will never run; it should be made to end. */
export interface RunState {
  instance: JobInstance
  hopeless: string | null
}

/** `offset`: the API server's clock minus ours, ms. */
export function runState(pod: Pod, offset: number): RunState {
  const { name = '', uid = '', labels = {}, annotations = {} } = pod.metadata ?? {}
  const status = pod.status?.containerStatuses?.[0]
  const at = (stamp: string | undefined) => (stamp === undefined ? null : Date.parse(stamp) - offset)
  const terminated = status?.state?.terminated
  const startedAt = at(status?.state?.running?.startedAt ?? terminated?.startedAt)
  const base = {
    job: labels[runLabel.job] ?? '',
    attempt: Number(labels[runLabel.attempt]),
    type: isBuild(pod) ? ('build' as const) : ('run' as const),
    name,
    uid,
    exitCode: terminated?.exitCode ?? null,
    startedAt,
    endedAt: null,
    progress: null,
    resources: [],
    result: isBuild(pod) && terminated ? readResults(terminated.message ?? '') : null,
    streams: [''],
  }
  const phase = pod.status?.phase
  if (phase === 'Succeeded' || phase === 'Failed') {
    const end = endOf(pod)
    const endedAt = at(terminated?.finishedAt) ?? startedAt
    const reason = buildReason(base.result, end.cause, end.reason)
    return { instance: { ...base, ...end, reason, phase: 'ended', endedAt: endedAt ?? Date.now() }, hopeless: null }
  }
  if (annotations[runAnnotation.canceled] || pod.metadata?.deletionTimestamp)
    return { instance: { ...base, phase: 'stopping', reason: 'It is being ended.' }, hopeless: null }
  if (status?.state?.running || terminated)
    return { instance: { ...base, phase: 'running', ...(awaitsContext(pod) && { awaitsContext: true }) }, hopeless: null }
  const waiting = podWaiting(pod, [])
  const condemned = readCondemned(pod)
  const reason = condemned?.reason ?? waiting?.reason ?? 'its pod is being made'
  return {
    instance: { ...base, phase: 'starting', reason },
    hopeless: waiting?.hopeless && !condemned ? waiting.reason : null,
  }
}

type End = { outcome: JobOutcome; cause: JobCause; reason: string }

function endOf(pod: Pod): End {
  const status = pod.status?.containerStatuses?.[0]
  const terminated = status?.state?.terminated
  const { reason: word = '' } = pod.status ?? {}
  const failed = (cause: JobCause, reason: string): End => ({ outcome: 'failed', cause, reason })
  const condemned = readCondemned(pod)
  if (condemned) return failed('start', condemned.reason)
  // Its own end counts before ours: it may have been faster than what was asked of the kubelet.
  if (pod.status?.phase === 'Succeeded') return { outcome: 'succeeded', cause: 'exit', reason: 'It succeeded.' }
  if (pod.metadata?.annotations?.[runAnnotation.canceled])
    return { outcome: 'canceled', cause: 'canceled', reason: 'It was canceled.' }
  if (word === 'DeadlineExceeded')
    return failed('deadline', `It ran longer than its ${pod.metadata?.annotations?.[runAnnotation.timeout] ?? '?'} s.`)
  if (terminated?.reason === 'OOMKilled') return failed('out_of_memory', outOfMemory(pod, status!))
  if (word !== '' || pod.status?.conditions?.some(({ type }) => type === 'DisruptionTarget'))
    return failed('lost', podEnding(pod)?.reason ?? (sentence(pod.status?.message ?? '') || word))
  if (!terminated) return failed('lost', sentence(pod.status?.message ?? '') || 'Its pod failed without saying why.')
  if (terminated.reason === 'ContainerCannotRun' || terminated.reason === 'StartError')
    return failed('start', `It could not be started: ${sentence(terminated.message ?? '')}`)
  if (terminated.exitCode > 128 && terminated.exitCode < 160)
    return failed('signal', `It was ended by signal ${terminated.exitCode - 128}.`)
  return failed('exit', `It ended with exit code ${terminated.exitCode}.`)
}
