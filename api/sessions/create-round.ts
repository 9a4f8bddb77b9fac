/**
 * Creates of one project in one transaction: what they need to know is asked in one round trip under the project's lock, then each in its turn
 * takes quota and finds its place, then all that came through are written by one statement with their audit and events. Who is refused has
 * taken nothing, so for everybody it is as if they had come one after the other. Locks: volume, project, clusters in their order.
 */
import type { Tx } from '#db/client.ts'
import { committing } from '#db/driver/pipelined.ts'
import type { Outcome } from '#db/together.ts'
import { type Candidate, neverProblem, place } from '../clusters/placement.ts'
import { newId } from '../ids.ts'
import { canComeWarm, fitOf } from '../pools/fit.ts'
import { invalid, Problem } from '../problem.ts'
import type { Room } from '../projects/quotas.ts'
import { bindVolume, takeVolume } from '../volumes/service.ts'
import { claimEach, likeness, type WarmHints } from './claims.ts'
import { nameKey, readKnown } from './create-reads.ts'
import { type Asked, type Draft, isRoomGone, type Made, rowOf, type Take, wishOf, writeRows } from './create-rows.ts'
import { everyClusterFull, holdClusters, placementRequest, takeNumbers } from './place.ts'
import { findSession, viewOf } from './read.ts'
import type { CountedCluster, RoomsSeen } from './rooms-seen.ts'
import { type BuiltSpec, buildSpec } from './spec.ts'
import { type SessionRow, sessionView } from './view.ts'

export interface Round {
  outcomes: Outcome<Made>[]
  /** What clusters get when this is committed. */
  takes: Take[]
}

/** The room that was counted is gone, but there is some elsewhere: look again. */
export class Moved extends Error {}

/**
 * `eager`: warm ones are claimed by `hints` together with the first reads, and all is written and committed together with the clusters' locks, which
 * saves round trips. Where there is no clear room then, or a hint was wrong, nothing has happened and all look again.
 */
export async function createRound(
  tx: Tx,
  asked: readonly Asked[],
  { eager, last, hints, rooms }: { eager: boolean; last: boolean; hints: WarmHints; rooms: RoomsSeen },
): Promise<Round> {
  const project = asked[0]!.actor.project
  const volume = await settled(asked, ({ input, actor }) => (input.volume ? takeVolume(tx, actor, input.volume) : null))
  const wishes = asked.map(wishOf)
  const hinted = asked.map(({ actor, input }, n) => (eager ? hints.want(actor, input, wishes[n]!) : null))
  // Sent together, done in this order: all is read under the project's lock.
  const [{ room, unlimited, templates, clusters, waiting, living, warmFits, now, queued }, early] = await Promise.all([
    readKnown(tx, project, asked, wishes, rooms),
    claimEach(tx, project, hinted),
  ])
  const choose = ({ request, wish }: Pick<Draft, 'request' | 'wish'>) => {
    const promised = waiting.has(JSON.stringify(wish))
    return place(promised ? clusters.map(each => ({ ...each, promised })) : clusters, request)
  }
  const drafts = await settled<Asked, Draft | { lives: string }>(asked, async (each, n) => {
    const { input, actor } = each
    await each.ctx.rate?.admitted()
    const body = templates.get(input.template)
    if (!body) throw invalid('/template', `No such template: ${JSON.stringify(input.template)}. GET /v1/templates lists them.`)
    const built = buildSpec({ id: input.template, body }, input, { project, user: actor.user })
    const lives = input.name ? living.get(nameKey(actor.user, input.name)) : undefined
    if (lives) return { lives }
    const home = volume[n]!
    if ('error' in home) throw home.error
    const spec = home.value ? { ...built.spec, volume: volumeSpec(home.value) } : built.spec
    const wish = wishes[n]!
    const request = placementRequest(spec, wish, home.value?.cluster_id)
    await takeShare(room, each, built)
    const choice = choose({ request, wish })
    if ('never' in choice) {
      giveShare(room, each, built)
      throw neverProblem(choice)
    }
    return { asked: each, built, spec, wish, volume: home.value, request, place: { queued: '' } }
  })
  const fresh = drafts.flatMap(each => ('value' in each && !('lives' in each.value) ? [each.value] : []))
  for (const [n, warm] of early.entries()) {
    if (!warm) continue
    const draft = fresh.find(each => each.asked === asked[n])
    // Refused, or not what was claimed for it: all of it is undone.
    if (JSON.stringify(draft?.spec) !== JSON.stringify(hinted[n]!.spec)) {
      hints.note(project, asked[n]!.input.template, null)
      throw new Moved()
    }
    draft!.place = { warm }
  }
  const mayBeWarm = ({ asked: of, spec }: Draft) => !hinted[asked.indexOf(of)] && canComeWarm(spec) && warmFits.has(fitOf(spec))
  const late = await claimEach(
    tx,
    project,
    fresh.map(draft => (mayBeWarm(draft) ? draft : null)),
  )
  for (const [n, draft] of fresh.entries()) {
    const warm = late[n]
    if (warm) draft.place = { warm }
    const { input } = draft.asked
    if ('warm' in draft.place) {
      const same = draft.place.warm.same ? likeness(input) : null
      hints.note(project, input.template, { body: templates.get(input.template)!, unlimited, same })
    } else {
      hints.note(project, input.template, null)
      draft.place = placeCold(draft)
    }
  }
  const changes = changesOf(fresh)
  // Where it is tight, who finds room is told only under the lock.
  const atOnce = eager && [...changes].every(([id, { cold }]) => cold === 0 || isRoomy(clusters.find(each => each.id === id)!))
  // The next number of each; written at once, the numbers count from the cluster's own as it is by then.
  const numbers = atOnce ? new Map([...changes].map(([id, { cold, warm }]) => [id, 1 - cold - warm])) : await hold()

  function placeCold(draft: Draft): Draft['place'] {
    const choice = choose(draft)
    if ('cluster' in choice) {
      const candidate = clusters.find(({ id }) => id === choice.cluster)!
      candidate.sessions++
      return { cold: choice.cluster }
    }
    waiting.add(JSON.stringify(draft.wish))
    return { queued: 'queue' in choice ? choice.queue : everyClusterFull }
  }

  /** Locks the clusters that got something, and answers their next numbers; who finds no room there any more waits, or all look again. */
  async function hold(): Promise<Map<string, number>> {
    const held = new Map(changes.size === 0 ? [] : (await holdClusters(tx, changes)).map(each => [each.id, each]))
    for (const draft of fresh) {
      if (!('cold' in draft.place)) continue
      const { cold } = draft.place
      const here = held.get(cold)
      if (!here || here.room-- <= 0) draft.place = queuedAt(draft, clusters.find(({ id }) => id === cold)!)
    }
    return new Map([...held.values()].map(({ id, seq }) => [id, seq]))
  }

  function queuedAt(draft: Draft, full: Candidate): Draft['place'] {
    full.sessions = Math.max(full.sessions, full.capabilities?.capacity.sessions ?? 0)
    const choice = choose(draft)
    if ('cluster' in choice && !last) throw new Moved()
    return { queued: 'queue' in choice ? choice.queue : everyClusterFull }
  }

  // Equal times are told apart by id: who came first has the lesser.
  const ids = fresh.map(() => newId('ses')).sort()
  let waits = queued
  const made = new Map<Asked, Made>()
  const rows: SessionRow[] = []
  for (const [n, draft] of fresh.entries()) {
    const cluster = clusterOf(draft)
    const seq = cluster === null ? 0 : numbers.get(cluster)!
    if (cluster !== null) numbers.set(cluster, seq + 1)
    const row = rowOf(draft, ids[n]!, now, seq)
    const position = row.status === 'queued' ? ++waits : null
    const session = sessionView(row, { online: row.cluster_id !== null, position, origin: draft.asked.ctx.origin })
    rows.push(row)
    made.set(draft.asked, { session, fresh: { spec: draft.spec, warm: 'warm' in draft.place ? draft.place.warm : null } })
    if (draft.volume && row.cluster_id) await bindVolume(tx, draft.volume.id, row.cluster_id)
  }
  const takes = atOnce ? takesOf(changes, clusters) : null
  const lives = drafts.some(each => 'value' in each && 'lives' in each.value)
  // Sent together, done in this order; all are over before the transaction is.
  const done = await Promise.allSettled([
    takes && takes.length > 0 ? takeNumbers(tx, takes) : null,
    rows.length > 0 ? writeRows(tx, rows, made, takes) : null,
    // Nothing is looked at any more.
    lives ? null : committing(tx),
  ])
  for (const each of done) if (each.status === 'rejected') throw isRoomGone(each.reason) ? new Moved() : each.reason
  const outcomes = await settled(asked, async ({ ctx }, n) => {
    const draft = drafts[n]!
    if ('error' in draft) throw draft.error
    if (!('lives' in draft.value)) return made.get(asked[n]!)!
    return { session: viewOf(await findSession(ctx, draft.value.lives, tx), ctx.origin), fresh: null }
  })
  return { outcomes, takes: takes ?? [] }
}

/** Each item's own refusal is its own; what is no refusal is everybody's. */
async function settled<I, O>(items: readonly I[], one: (item: I, n: number) => Promise<O> | O): Promise<Outcome<O>[]> {
  const outcomes: Outcome<O>[] = []
  for (const [n, item] of items.entries()) {
    try {
      outcomes.push({ value: await one(item, n) })
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      outcomes.push({ error })
    }
  }
  return outcomes
}

const clusterOf = ({ place }: Draft) => ('warm' in place ? place.warm.cluster : 'cold' in place ? place.cold : null)

function changesOf(drafts: readonly Draft[]): Map<string, { cold: number; warm: number }> {
  const changes = new Map<string, { cold: number; warm: number }>()
  for (const draft of drafts) {
    const id = clusterOf(draft)
    if (id === null) continue
    const count = changes.get(id) ?? { cold: 0, warm: 0 }
    count['warm' in draft.place ? 'warm' : 'cold']++
    changes.set(id, count)
  }
  return changes
}

const takerOf = ({ actor }: Asked) => ({ user: actor.user, token: actor.token, limits: actor.limits ?? {} })
const takeShare = (room: Room, asked: Asked, built: BuiltSpec) => room.take({ sessions: 1, ...built.takes }, takerOf(asked))
const giveShare = (room: Room, asked: Asked, built: BuiltSpec) => room.giveBack({ sessions: 1, ...built.takes }, takerOf(asked))

function takesOf(changes: ReturnType<typeof changesOf>, clusters: readonly CountedCluster[]): Take[] {
  return [...changes].map(([id, change]) => {
    const { seq, epoch } = clusters.find(each => each.id === id)!
    return { id, seq, epoch, ...change }
  })
}

/** Enough for what it holds and what has been placed there, warm ones included: nobody has to give way. */
const isRoomy = ({ sessions, warm = 0, capabilities }: Candidate) => sessions + warm <= (capabilities?.capacity.sessions ?? 0)

function volumeSpec(volume: { id: string; size_bytes: number | null }) {
  return { id: volume.id, ...(volume.size_bytes === null ? {} : { size_bytes: volume.size_bytes }) }
}
