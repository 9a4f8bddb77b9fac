/**
 * New images for named Deployments and StatefulSets: all become ready, or all go back to what they were. What they were is kept before the first
 * change, so an agent that is killed half-way goes on, or goes back, in its next life.
 */
import { z } from 'zod'
import { findKind, type Kind } from '#protocol/manifest/kinds.ts'
import type { JsonObject } from '#protocol/manifest/rules.ts'
import type { DeploySpec } from '#protocol/works-spec.ts'
import { KubeError } from '../kube-error.ts'
import { type Unhealthy, untilHealthy } from './health-wait.ts'
import { tellLastWords } from './manifest-task.ts'
import { changeOf } from './object-change.ts'
import type { Live } from './place-objects.ts'
import { Ended, succeeded, type TaskContext, type TaskEnd, TaskFailed } from './task.ts'

const Memory = z.object({
  phase: z.enum(['rolling', 'back']),
  reason: z.string().optional(),
  /** How it was: container -> image. */
  before: z.array(z.object({ kind: z.string(), name: z.string(), images: z.record(z.string(), z.string()) })),
})
type Memory = z.infer<typeof Memory>

const rollbackMs = 180_000
const staysMs = 5_000
const kindOf = { deployment: findKind('apps/v1', 'Deployment')!, statefulset: findKind('apps/v1', 'StatefulSet')! }

interface Target {
  kind: Kind
  name: string
  live: Live
  /** container -> new image */
  images: Record<string, string>
}

export async function deployTask(spec: DeploySpec, context: TaskContext): Promise<TaskEnd> {
  const { progress, log, objects, signal } = context
  const kept = Memory.safeParse(context.remembered)
  if (kept.success && kept.data.phase === 'back')
    return await goBack(kept.data, kept.data.reason ?? 'it was interrupted', 'exit', context)
  progress(1, 'looking for the services')
  const targets = await targetsOf(spec, context)
  for (const target of targets) {
    const after = await objects
      .merge(target.kind, target.name, patchOf(target.images), { dryRun: true }, signal)
      .catch(refused(target))
    const { diff } = changeOf({ ...target.live, kind: target.kind.kind }, { ...after, kind: target.kind.kind })
    log(`${target.kind.kind}/${target.name}:${diff ? `\n${diff}` : ' already runs these images'}`)
  }
  const result = {
    services: targets.map(target => ({
      kind: target.kind.kind,
      name: target.name,
      before: imagesOf(target.live, target.images),
      after: target.images,
    })),
  }
  if (spec.dry_run) return succeeded({ ...result, dry_run: true })
  const memory: Memory = kept.success
    ? kept.data
    : {
        phase: 'rolling',
        before: targets.map(({ kind, name, live, images }) => ({
          kind: kind.kind.toLowerCase(),
          name,
          images: imagesOf(live, images),
        })),
      }
  if (!kept.success) await context.remember(memory)

  const late = new AbortController()
  const cancel = context.clock.after(spec.ready_timeout_ms, () => late.abort(new Error('late')))
  try {
    progress(10, 'setting the images')
    for (const target of targets)
      await objects.merge(target.kind, target.name, patchOf(target.images), { dryRun: false }, signal).catch(refused(target))
    progress(20, 'waiting until all are ready')
    const waiting = {
      ...context,
      signal: AbortSignal.any([signal, late.signal]),
      report: reportWith(context, targets.length),
      staysMs,
    }
    const bad = await untilHealthy(targets, waiting)
    if (bad) return await goBack(memory, await why(bad, context), 'exit', context)
    progress(100, 'done')
    return succeeded(result)
  } catch (error) {
    if (signal.aborted && signal.reason instanceof Ended) {
      // The next life goes on with it.
      if (signal.reason.cause_ === 'agent_stopped') throw error
      return await goBack(
        memory,
        signal.reason.cause_ === 'canceled' ? 'it was canceled' : 'its time was over',
        signal.reason.cause_,
        context,
      )
    }
    if (late.signal.aborted)
      return await goBack(
        memory,
        `not ready within ${Math.round(spec.ready_timeout_ms / 1000)} s${stuckOn(context)}`,
        'exit',
        context,
      )
    if (error instanceof TaskFailed) return await goBack(memory, error.message, 'exit', context)
    throw error
  } finally {
    cancel()
  }
}

const lastReports = new WeakMap<TaskContext, string>()
const stuckOn = (context: TaskContext) => (lastReports.has(context) ? `: ${lastReports.get(context)}` : '')

function reportWith(context: TaskContext, all: number): TaskContext['resources'] {
  return resources => {
    context.resources(resources)
    const done = resources.filter(({ state }) => state === 'available' || state === 'ready').length
    const stuck = resources.find(({ state }) => state !== 'available' && state !== 'ready')
    if (stuck)
      lastReports.set(context, `${stuck.kind}/${stuck.name} is ${stuck.state}${stuck.reason ? ` (${stuck.reason})` : ''}`)
    context.progress(20 + Math.round((done / all) * 75), `${done} of ${all} ready`)
  }
}

async function why({ kind, name, reason, trouble }: Unhealthy, context: TaskContext): Promise<string> {
  const words = trouble?.ranBefore ? await tellLastWords(trouble, context) : ''
  const last = words.split('\n').at(-1)?.trim().slice(0, 300)
  return `${kind}/${name}: ${reason}${last ? `; its last words: ${last}` : ''}`
}

/** Everything to what it was, whatever had been changed already. Not stopped by what stopped the rollout. */
async function goBack(
  memory: Memory,
  reason: string,
  cause: 'exit' | 'canceled' | 'deadline',
  context: TaskContext,
): Promise<TaskEnd> {
  const { objects, log, progress, clock } = context
  log(`going back: ${reason}`)
  progress(null, 'going back')
  await context.remember({ ...memory, phase: 'back', reason })
  const end = new AbortController()
  const cancel = clock.after(rollbackMs, () => end.abort(new Error('late')))
  const stopped = () => {
    if (context.signal.reason instanceof Ended && context.signal.reason.cause_ === 'agent_stopped')
      end.abort(context.signal.reason)
  }
  context.signal.addEventListener('abort', stopped)
  const targets = memory.before.map(({ kind, name, images }) => ({ kind: kindOf[kind as keyof typeof kindOf], name, images }))
  let back = 'all services run what they ran before'
  try {
    for (const target of targets)
      await objects.merge(target.kind, target.name, patchOf(target.images), { dryRun: false }, end.signal)
    const bad = await untilHealthy(targets, { objects, clock, signal: end.signal, log, report: context.resources })
    if (bad) back = `but ${bad.kind}/${bad.name} is not healthy as it was before either: ${bad.reason}`
  } catch (error) {
    if (end.signal.reason instanceof Ended) throw end.signal.reason
    back = `but going back is not done: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    cancel()
    context.signal.removeEventListener('abort', stopped)
  }
  log(`rolled back: ${back}`)
  return {
    outcome: cause === 'canceled' ? 'canceled' : 'failed',
    cause,
    reason: `rolled back: ${reason} (${back})`.slice(0, 2000),
    result: { rolled_back: true, reason, services: memory.before },
  }
}

async function targetsOf({ mappings }: DeploySpec, context: TaskContext): Promise<Target[]> {
  const targets = new Map<string, Target>()
  for (const [service, image] of Object.entries(mappings)) {
    const steps = service.split('/')
    const given = steps[0] === 'deployment' || steps[0] === 'statefulset' ? (steps.shift() as 'deployment' | 'statefulset') : null
    const [name = '', container] = steps
    const { kind, live } = await findService(name, given, context)
    const key = `${kind.kind}/${name}`
    const target = targets.get(key) ?? { kind, name, live, images: {} }
    targets.set(key, target)
    target.images[containerOf(live, key, container)] = image
  }
  return [...targets.values()]
}

async function findService(name: string, given: 'deployment' | 'statefulset' | null, { objects, signal }: TaskContext) {
  const found = []
  for (const kind of given ? [kindOf[given]] : Object.values(kindOf)) {
    const live = await objects.find(kind, name, signal)
    if (live) found.push({ kind, live })
  }
  if (found.length === 1) return found[0]!
  const { namespace } = objects.place
  if (found.length === 0)
    throw new TaskFailed(
      `there is no ${given ?? 'Deployment or StatefulSet'} ${name} in namespace ${namespace}: nothing was changed`,
    )
  throw new TaskFailed(
    `${name} is a Deployment and a StatefulSet in namespace ${namespace}: say deployment/${name} or statefulset/${name}`,
  )
}

interface PodContainer {
  name: string
  image: string
}
function containersOf(live: Live): PodContainer[] {
  const template = live.spec?.template as { spec?: { containers?: PodContainer[] } } | undefined
  return template?.spec?.containers ?? []
}

function containerOf(live: Live, key: string, asked: string | undefined): string {
  const all = containersOf(live)
  const found = asked === undefined ? (all.length === 1 ? all[0] : undefined) : all.find(({ name }) => name === asked)
  if (found) return found.name
  throw new TaskFailed(
    asked === undefined
      ? `${key} has several containers (${all.map(({ name }) => name).join(', ')}): say ${key.split('/')[1]}/<container>`
      : `${key} has no container ${asked}`,
  )
}

function imagesOf(live: Live, changed: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    containersOf(live)
      .filter(({ name }) => name in changed)
      .map(({ name, image }) => [name, image]),
  )
}

function patchOf(images: Record<string, string>): JsonObject {
  return { spec: { template: { spec: { containers: Object.entries(images).map(([name, image]) => ({ name, image })) } } } }
}

function refused({ kind, name }: Pick<Target, 'kind' | 'name'>) {
  return (error: unknown): never => {
    if (!(error instanceof KubeError) || error.isPassing) throw error
    throw new TaskFailed(`the cluster refuses ${kind.kind}/${name}: ${error.message.slice(0, 1000)}`)
  }
}
