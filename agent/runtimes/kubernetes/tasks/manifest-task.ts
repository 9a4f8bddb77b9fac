/**
 * Applies a set of documents, or takes it away. Everything is checked and tried with the server's dry run before the first change, so most mistakes
 * change nothing. Each step can be done twice: after a kill it begins again and finds what is done.
 */
import type { JobResource } from '#protocol/job-spec.ts'
import { checkManifest, type ManifestObject } from '#protocol/manifest/check-manifest.ts'
import { type Kind, kinds } from '#protocol/manifest/kinds.ts'
import type { ManifestSpec } from '#protocol/works-spec.ts'
import { isKubeError, KubeError } from '../kube-error.ts'
import { untilGone } from './gone-wait.ts'
import { untilHealthy } from './health-wait.ts'
import { belongsTo, labelled, type Owner, ofSet } from './manifest-labels.ts'
import { type Change, changeOf } from './object-change.ts'
import type { Live, PlaceObjects } from './place-objects.ts'
import { podWatch } from './pod-streams.ts'
import { succeeded, type TaskContext, type TaskEnd, TaskFailed } from './task.ts'

/** What others need comes first, and goes last. */
const order = ['Secret', 'ConfigMap', 'PersistentVolumeClaim', 'Service', 'StatefulSet', 'Deployment', 'Pod', 'Job', 'CronJob']
const longestDiff = 48 * 1024

interface Step {
  object: ManifestObject
  live: Live | null
  change: Change
}

export async function manifestTask(spec: ManifestSpec, context: TaskContext): Promise<TaskEnd> {
  const { objects, job, project, agent, log, progress } = context
  const owner: Owner = { agent, project, set: spec.set ?? job, job }
  const checked = checkManifest(spec.yaml, { namespace: objects.place.namespace })
  if (!checked.ok) {
    for (const { pointer, detail, line } of checked.faults) log(`${pointer || '/'}${line ? ` (line ${line})` : ''}: ${detail}`)
    const first = checked.faults[0]!
    throw new TaskFailed(`the manifest is not accepted: ${first.pointer || '/'} ${first.detail}`, {
      errors: checked.faults.slice(0, 50),
    })
  }
  const sorted = checked.objects.toSorted((a, b) => order.indexOf(a.kind.kind) - order.indexOf(b.kind.kind))
  if (spec.action === 'delete') return await takeAway(sorted, owner, spec, context)

  progress(5, 'comparing')
  const steps: Step[] = []
  for (const object of sorted) steps.push(await tried(object, owner, context))
  const superfluous = spec.prune && spec.set !== null ? await leftOver(sorted, owner, context) : []
  const changes = [...steps.map(step => step.change), ...superfluous.map(({ live }) => changeOf(live, null))]
  for (const { kind, name, change, diff } of changes) log(`${kind}/${name}: ${change}${diff ? `\n${diff}` : ''}`)
  const result = { changes: shortened(changes) }
  if (spec.dry_run) return succeeded({ ...result, dry_run: true })

  for (const [at, { object, live, change }] of steps.entries()) {
    progress(10 + Math.round((at / steps.length) * 30), `applying ${object.kind.kind}/${object.name}`)
    if (change.change === 'replace') await remove(object.kind, live!, context)
    await objects
      .apply(object.kind, labelled(object, owner), object.name, { dryRun: false }, context.signal)
      .catch(asReason(object.kind, object.name))
  }
  for (const { kind, live } of superfluous.toReversed()) await remove(kind, live, context)
  if (spec.wait) {
    progress(50, 'waiting until all is healthy')
    const bad = await untilHealthy(sorted, { ...context, report: context.resources, more: podWatch(owner, context) })
    if (bad) {
      if (bad.trouble?.ranBefore) await tellLastWords(bad.trouble, context)
      throw new TaskFailed(`${bad.kind}/${bad.name} does not become healthy: ${bad.reason}`, result)
    }
  } else context.resources(sorted.map(({ kind, name }) => resource(kind, name, objects, 'applied')))
  progress(100, 'done')
  return succeeded(result)
}

/** The server's own answer to what this would become; nothing is changed. */
async function tried(object: ManifestObject, owner: Owner, { objects, signal }: TaskContext): Promise<Step> {
  const { kind, name } = object
  const live = await objects.find(kind, name, signal).catch(asReason(kind, name))
  if (live && !belongsTo(live, owner))
    throw new TaskFailed(`${kind.kind}/${name} exists and was not applied by this project here: it is left alone`)
  try {
    const after = await objects.apply(kind, labelled(object, owner), name, { dryRun: true }, signal)
    return { object, live, change: changeOf(live && whole(kind, live), whole(kind, after)) }
  } catch (error) {
    if (!live || kind.kind !== 'Job' || !isKubeError(error, 422)) return asReason(kind, name)(error)
    // A Job's template can never change: the same name with another one is a new run.
    const fresh = whole(kind, { ...object.body, metadata: { ...(object.body.metadata as object) } } as Live)
    return { object, live, change: { ...changeOf(whole(kind, live), fresh), change: 'replace' } }
  }
}

const whole = (kind: Kind, live: Live): Live => ({ ...live, apiVersion: kind.apiVersion, kind: kind.kind })

/** What an earlier apply of this set made, and this text does not have. */
async function leftOver(
  wanted: readonly ManifestObject[],
  owner: Owner,
  context: TaskContext,
): Promise<{ kind: Kind; live: Live }[]> {
  const kept = new Set(wanted.map(({ kind, name }) => `${kind.kind}/${name}`))
  return (await ofSelector(ofSet(owner), context)).filter(({ kind, live }) => !kept.has(`${kind.kind}/${live.metadata?.name}`))
}

/** Everything with these labels, each once, in the order in which it may go. Pods and Jobs that something else made are its own business. */
export async function ofSelector(words: Record<string, string>, { objects, signal }: Pick<TaskContext, 'objects' | 'signal'>) {
  const selector = Object.entries(words)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  const found = new Map<string, { kind: Kind; live: Live }>()
  for (const kind of kinds) {
    for (const live of await objects.list(kind, selector, signal)) {
      if (live.metadata?.ownerReferences?.length) continue
      if (!found.has(live.metadata!.uid!)) found.set(live.metadata!.uid!, { kind, live })
    }
  }
  return [...found.values()].sort((a, b) => order.indexOf(a.kind.kind) - order.indexOf(b.kind.kind))
}

async function takeAway(
  wanted: readonly ManifestObject[],
  owner: Owner,
  spec: ManifestSpec,
  context: TaskContext,
): Promise<TaskEnd> {
  const { objects, signal, log, progress } = context
  const there: { kind: Kind; live: Live }[] = []
  const foreign: string[] = []
  for (const { kind, name } of wanted.toReversed()) {
    const live = await objects.find(kind, name, signal).catch(asReason(kind, name))
    if (live && belongsTo(live, owner)) there.push({ kind, live })
    else if (live) foreign.push(`${kind.kind}/${name}`)
  }
  for (const name of foreign) log(`${name}: was not applied by this project, it is left alone`)
  const changes = there.map(({ kind, live }) => changeOf(whole(kind, live), null))
  for (const { kind, name } of changes) log(`${kind}/${name}: delete`)
  if (!spec.dry_run) await removeAll(there, context, progress)
  return succeeded({
    changes: shortened(changes),
    ...(foreign.length > 0 && { left_alone: foreign }),
    ...(spec.dry_run && { dry_run: true }),
  })
}

export async function removeAll(
  all: { kind: Kind; live: Live }[],
  context: Pick<TaskContext, 'objects' | 'signal' | 'clock' | 'log' | 'resources'>,
  progress: TaskContext['progress'] = () => {},
): Promise<void> {
  for (const { kind, live } of all) await context.objects.remove(kind, live.metadata!.name!, live.metadata!.uid!, context.signal)
  progress(50, 'waiting until all is gone')
  await untilGone(all, context)
}

async function remove(kind: Kind, live: Live, context: TaskContext): Promise<void> {
  context.log(`${kind.kind}/${live.metadata?.name}: deleting`)
  await removeAll([{ kind, live }], context)
}

function asReason(kind: Kind, name: string) {
  return (error: unknown): never => {
    if (!(error instanceof KubeError) || error.isPassing) throw error
    throw new TaskFailed(`the cluster refuses ${kind.kind}/${name}: ${error.message.slice(0, 1000)}`)
  }
}

export async function tellLastWords(
  trouble: { pod: string; container: string },
  { objects, log, signal }: TaskContext,
): Promise<string> {
  const words = (await objects.lastWords(trouble.pod, trouble.container, true, signal)).trimEnd()
  if (words !== '') log(`last output of ${trouble.pod}/${trouble.container}:\n${words}`)
  return words
}

const resource = (kind: Kind, name: string, objects: PlaceObjects, state: string): JobResource => ({
  kind: kind.kind,
  name,
  namespace: objects.place.namespace,
  state,
  reason: null,
})

/** The whole diff is in the job's output. */
function shortened(changes: Change[]): Change[] {
  let left = longestDiff
  return changes.map(change => {
    const diff = change.diff.length <= left ? change.diff : `${change.diff.slice(0, left)}\n  … (all of it is in the output)`
    left = Math.max(0, left - diff.length)
    return { ...change, diff }
  })
}
