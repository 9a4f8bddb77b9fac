/**
 * Creates of one project in one transaction: what they need to know is asked in one round trip under the project's lock, then each in its turn
 * takes quota and finds its place, then all that came through are written by one statement with their audit and events. Who is refused has
 * taken nothing, so for everybody it is as if they had come one after the other. Locks: volume, project, clusters in their order.
 */
import { sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { committing } from '#db/pipelined.ts'
import type { Outcome } from '#db/together.ts'
import { type Candidate, neverProblem, place } from '../clusters/placement.ts'
import { newId } from '../ids.ts'
import { fitsThatAreWarm } from '../pools/claim.ts'
import { canComeWarm, fitOf } from '../pools/fit.ts'
import { invalid, Problem } from '../problem.ts'
import { lockRoom, type Room } from '../projects/quotas.ts'
import { templatesFor } from '../templates/service.ts'
import { bindVolume, takeVolume } from '../volumes/service.ts'
import { claimEach, type WarmHints } from './claims.ts'
import { type Asked, type Draft, type Made, rowOf, writeRows } from './create-rows.ts'
import { candidates, everyClusterFull, type Held, holdClusters, placementRequest, type Wish, wishesWaiting } from './place.ts'
import { findSession, viewOf } from './read.ts'
import { type BuiltSpec, buildSpec } from './spec.ts'
import { type SessionRow, sessionView } from './view.ts'

/** The room that was counted is gone, but there is some elsewhere: look again. */
export class Moved extends Error {}

/**
 * `eager`: written together with the clusters' locks, and warm ones claimed by `hints` together with the first reads, which saves round trips; where
 * there is no room then, or a hint was wrong, all look again.
 */
export async function createRound(
  tx: Tx,
  asked: readonly Asked[],
  { eager, last, hints }: { eager: boolean; last: boolean; hints: WarmHints },
): Promise<Outcome<Made>[]> {
  const project = asked[0]!.actor.project
  const volume = await settled(asked, ({ input, actor }) => (input.volume ? takeVolume(tx, actor, input.volume) : null))
  const wishes = asked.map(wishOf)
  const hinted = asked.map(({ actor, input }, n) => (eager ? hints.want(actor, input, wishes[n]!) : null))
  // Sent together, done in this order: all is read under the project's lock.
  const [room, templates, known, waiting, living, warmFits, { now, queued }, early] = await Promise.all([
    lockRoom(tx, project),
    templatesFor(tx, project, [...new Set(asked.map(({ input }) => input.template))]),
    candidates(tx, project),
    wishesWaiting(tx, project, [...new Set(wishes.map(wish => JSON.stringify(wish)))]),
    livingByName(tx, project, asked),
    fitsThatAreWarm(tx),
    clockAndQueue(tx),
    claimEach(tx, project, hinted),
  ])
  const choose = ({ request, wish }: Pick<Draft, 'request' | 'wish'>) => {
    const promised = waiting.has(JSON.stringify(wish))
    return place(promised ? known.map(each => ({ ...each, promised })) : known, request)
  }
  const drafts = await settled<Asked, Draft | { lives: string }>(asked, async (each, n) => {
    const { input, actor } = each
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
    const isWarm = 'warm' in draft.place
    hints.note(project, draft.asked.input.template, isWarm ? templates.get(draft.asked.input.template)! : null)
    if (!isWarm) draft.place = placeCold(draft)
  }
  const changes = changesOf(fresh)
  // The next number of each; written eagerly, the numbers count from the cluster's own as it is by then.
  const numbers = new Map([...changes].map(([id, { cold, warm }]) => [id, 1 - cold - warm]))
  if (!eager) for (const { id, seq } of await hold()) numbers.set(id, seq)

  function placeCold(draft: Draft): Draft['place'] {
    const choice = choose(draft)
    if ('cluster' in choice) {
      const candidate = known.find(({ id }) => id === choice.cluster)!
      candidate.sessions++
      return { cold: choice.cluster }
    }
    waiting.add(JSON.stringify(draft.wish))
    return { queued: 'queue' in choice ? choice.queue : everyClusterFull }
  }

  /** Locks the clusters that got something; who finds no room there any more waits, or all look again. */
  async function hold(): Promise<Held[]> {
    if (changes.size === 0) return []
    const clusters = await holdClusters(tx, changes)
    const held = new Map(clusters.map(each => [each.id, each]))
    for (const draft of fresh) {
      if ('queued' in draft.place) continue
      const here = held.get('warm' in draft.place ? draft.place.warm.cluster : draft.place.cold)
      if ('cold' in draft.place && (!here || here.room-- <= 0)) {
        if (eager) throw new Moved()
        const candidate = known.find(each => 'cold' in draft.place && each.id === draft.place.cold)!
        draft.place = queuedAt(draft, candidate)
      }
    }
    return clusters
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
  // Nothing is looked at any more: no room, and no session that lives already.
  const asIs =
    eager && fresh.every(({ place }) => !('cold' in place)) && drafts.every(each => !('value' in each && 'lives' in each.value))
  // Sent together, done in this order; all are over before the transaction is.
  const done = await Promise.allSettled([
    eager ? hold() : null,
    rows.length > 0 ? writeRows(tx, rows, made, eager) : null,
    asIs ? committing(tx) : null,
  ])
  for (const each of done) if (each.status === 'rejected') throw each.reason
  return settled(asked, async ({ ctx }, n) => {
    const draft = drafts[n]!
    if ('error' in draft) throw draft.error
    if (!('lives' in draft.value)) return made.get(asked[n]!)!
    return { session: viewOf(await findSession(ctx, draft.value.lives, tx), ctx.origin), fresh: null }
  })
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

function wishOf({ input, actor }: Asked): Wish {
  return {
    ...(input.cluster ? { cluster: input.cluster } : {}),
    ...(input.selector ? { selector: input.selector } : {}),
    ...(actor.limits?.clusters ? { only: actor.limits.clusters } : {}),
  }
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

async function clockAndQueue(tx: Tx): Promise<{ now: number; queued: number }> {
  const [row] = await tx.execute<{ now: number; queued: number }>(sql`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      (select count(*)::int from sessions where status = 'queued' and desired = 'running') as queued`)
  return row!
}

const nameKey = (user: string, name: string) => JSON.stringify([user, name])

async function livingByName(tx: Tx, project: string, asked: readonly Asked[]): Promise<Map<string, string>> {
  const names = asked.flatMap(({ actor, input }) => (input.name ? [{ user: actor.user, name: input.name }] : []))
  if (names.length === 0) return new Map()
  const rows = await tx.execute<{ id: string; user: string; name: string }>(sql`
    select s.id, s.user_id as "user", s.name from jsonb_to_recordset(${JSON.stringify(names)}::jsonb) as w("user" text, name text)
    join sessions s on s.project_id = ${project} and s.user_id = w."user" and s.name = w.name
    where s.desired <> 'deleted' and s.status in ('queued', 'starting', 'running', 'stopping')`)
  return new Map(rows.map(({ id, user, name }) => [nameKey(user, name), id]))
}

function volumeSpec(volume: { id: string; size_bytes: number | null }) {
  return { id: volume.id, ...(volume.size_bytes === null ? {} : { size_bytes: volume.size_bytes }) }
}
