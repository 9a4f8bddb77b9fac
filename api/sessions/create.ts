/**
 * Create, or get. Creates of one project that come at the same time share a transaction (create-round.ts), for its lock makes them take turns
 * anyway; each has its own outcome. Those under an `Idempotency-Key`, and those of Workers, are alone in theirs. One that comes alone and warm may be a
 * single statement (create-warm.ts).
 */
import type { Sql } from '#db/client.ts'
import { type Outcome, together } from '#db/together.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { isUniqueViolation, postgresFault } from '../database-faults.ts'
import { countAsked } from '../pools/claim.ts'
import { volumeLetGo } from '../volumes/service.ts'
import { hintsOf } from './claims.ts'
import { createRound, Moved } from './create-round.ts'
import type { Asked, Made } from './create-rows.ts'
import { createWarm, mayComeAtOnce } from './create-warm.ts'
import { roomsOf } from './rooms-seen.ts'
import type { Session, SessionCreate } from './schema.ts'

export interface Created {
  session: Session
  /** False: it lived already under this name. */
  created: boolean
}

export async function createSession(ctx: Ctx, input: SessionCreate): Promise<Created> {
  const actor = tokenActor(ctx)
  if (input.volume) await volumeLetGo(ctx, actor, input.volume)
  const asked = { ctx, actor, input }
  // Sent before its transaction begins, which may have to wait for it.
  if (!mayComeAtOnce(asked, hintsOf(ctx.db))) void ctx.rate?.taken()
  const { session, fresh } = await create(ctx.db, asked)
  if (fresh)
    await ctx.afterCommit(async () => {
      const { cluster } = session
      const { spec, warm } = fresh
      // A warm one that has all that was asked for is as good before its agent has heard whose it is.
      const urgent = !warm?.ready || !warm.same || (spec.start_url ?? 'about:blank') !== 'about:blank'
      ctx.defer(
        afterAnswer(() => Promise.all([cluster ? ctx.tunnel.nudge(cluster, urgent) : null, countAsked(ctx.db, spec, warm)])),
      )
    })
  return { session, created: fresh !== null }
}

/** What the agent does about it takes longer than the answer, which need not wait for the first steps of that. */
const afterAnswer = (work: () => Promise<unknown>) => new Promise(done => setTimeout(done)).then(work)

const create = together<Asked, Made>({
  lane: ({ actor }) => actor.project,
  ...{ atOnce: 1, most: 50, patienceMs: 0 },
  async work(db, asked) {
    const outcomes = new Map<Asked, Outcome<Made>>()
    for (const round of rounds(asked)) {
      const made = (await warm(db, round)) ?? (await attempt(db, round))
      for (const [n, each] of round.entries()) outcomes.set(each, made[n]!)
    }
    return asked.map(each => outcomes.get(each)!)
  },
})

/** In one round nobody asks for the same name, or for a second volume (their rows are locked before the project's). */
function rounds(asked: readonly Asked[]): Asked[][] {
  const done: { of: Asked[]; taken: Set<string> }[] = []
  for (const each of asked) {
    const { actor, input } = each
    const takes = [...(input.name ? [`name ${actor.user} ${input.name}`] : []), ...(input.volume ? ['volume'] : [])]
    const round = done.findLastIndex(({ taken }) => takes.some(word => taken.has(word))) + 1
    if (round === done.length) done.push({ of: [], taken: new Set() })
    done[round]!.of.push(each)
    for (const word of takes) done[round]!.taken.add(word)
  }
  return done.map(({ of }) => of)
}

/** null: it is not alone, or has to go the long way. */
async function warm(db: Sql, [first, ...more]: readonly Asked[]): Promise<Outcome<Made>[] | null> {
  if (more.length > 0) return null
  try {
    const made = await createWarm(db, first!, hintsOf(db), roomsOf(db))
    return made && [{ value: made }]
  } catch (error) {
    return [{ error }]
  }
}

async function attempt(db: Sql, asked: readonly Asked[]): Promise<Outcome<Made>[]> {
  const rooms = roomsOf(db)
  // Those that go with others now: their rates need a connection before this holds one.
  await Promise.all(asked.map(({ ctx }) => ctx.rate?.isAsked === false && ctx.rate.taken()))
  for (let tries = 0; ; tries++) {
    try {
      const options = { eager: tries === 0, last: tries >= 3, hints: hintsOf(db), rooms }
      const { outcomes, takes } = await db.transaction(tx => createRound(tx, asked, options))
      for (const { id, seq, ...placed } of takes) rooms.placed(id, seq, placed)
      return outcomes
    } catch (error) {
      // A room that was taken, or a name that a rename took, in between.
      if (error instanceof Moved || (tries < 4 && isUniqueViolation(error, 'sessions_live_name'))) continue
      if (!postgresFault(error)) throw error
      if (asked.length === 1) return [{ error }]
      // One of them cannot be written: which, shows when each goes alone.
      const alone: Outcome<Made>[] = []
      for (const each of asked) alone.push(...(await attempt(db, [each])))
      return alone
    }
  }
}
