/**
 * What to do about jobs, from what is wanted and what is there. Pure. An attempt is begun only when nothing of it is there and nobody has ever
 * heard of it; what is there of another attempt goes; what nobody wants any more goes after two complete snapshots.
 */
import { attemptName, type DesiredJob, undoableTypes } from '#protocol/job-spec.ts'
import type { JobInstance } from '../runtimes/job-runtime.ts'

export type JobAction =
  | { do: 'start'; job: string; name: string; wanted: DesiredJob }
  | { do: 'cancel'; job: string; name: string; uid: string; graceMs: number }
  | { do: 'remove'; job: string; name: string; uid: string }
  | { do: 'undo'; job: string; wanted: DesiredJob }

export interface JobSituation {
  wanted: ReadonlyMap<string, DesiredJob>
  instances: readonly JobInstance[]
  isGarbage: (job: string) => boolean
  /** Attempts by name that were told of, or can never be made: they are not begun (again). */
  settled: (name: string) => boolean
  /** Jobs whose leavings are gone. */
  undone: (job: string) => boolean
  allowMassDelete: boolean
}

export interface JobPlan {
  actions: JobAction[]
  /** Why garbage is left alone; null: it is not. */
  brake: string | null
}

const garbageGraceMs = 10_000
const brakeFrom = 5

export function planJobs(situation: JobSituation): JobPlan {
  const byJob = Map.groupBy(situation.instances, instance => instance.job)
  const actions: JobAction[] = []
  for (const wanted of situation.wanted.values()) actions.push(...planOne(situation, wanted, byJob.get(wanted.id) ?? []))

  const garbage = situation.instances.filter(({ job }) => !situation.wanted.has(job) && situation.isGarbage(job))
  const living = situation.instances.filter(({ phase }) => phase !== 'ended').length
  const dying = garbage.filter(({ phase }) => phase !== 'ended').length
  const held = dying > brakeFrom && dying * 2 > living && !situation.allowMassDelete
  for (const instance of garbage) if (!held || instance.phase === 'ended') actions.push(...away(instance, garbageGraceMs))
  const brake = held
    ? `${dying} of ${living} running jobs are not wanted by the API any more; none is ended without the operator’s word`
    : null
  return { actions, brake }
}

function planOne({ settled, undone }: JobSituation, wanted: DesiredJob, there: JobInstance[]): JobAction[] {
  const mine = there.find(instance => instance.attempt === wanted.attempt)
  const older = there.filter(instance => instance.attempt < wanted.attempt).flatMap(instance => away(instance, wanted.grace_ms))
  const name = attemptName(wanted.id, wanted.attempt)
  switch (wanted.state) {
    case 'running':
      // The attempt before must be gone: two at once would be two winners for whatever they work on.
      if (mine || wanted.seen || settled(name) || !wanted.spec || older.length > 0) return older
      return [{ do: 'start', job: wanted.id, name, wanted }]
    case 'canceled':
      return mine && mine.phase !== 'ended' ? [...older, ...away(mine, wanted.grace_ms)] : older
    case 'finished':
      return [...older, ...(mine ? away(mine, wanted.grace_ms) : [])]
    case 'deleted': {
      const gone = [...older, ...(mine ? away(mine, wanted.grace_ms) : [])]
      return gone.length === 0 && mustUndo(wanted) && !undone(wanted.id) ? [{ do: 'undo', job: wanted.id, wanted }] : gone
    }
  }
}

/** Its leavings go too: until then it is not absent. */
export const mustUndo = ({ spec, state }: DesiredJob) =>
  state === 'deleted' && spec !== undefined && undoableTypes.includes(spec.type)

function away({ job, name, uid, phase }: JobInstance, graceMs: number): JobAction[] {
  if (phase === 'stopping') return [{ do: 'cancel', job, name, uid, graceMs }]
  return phase === 'ended' ? [{ do: 'remove', job, name, uid }] : [{ do: 'cancel', job, name, uid, graceMs }]
}
