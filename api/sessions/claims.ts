/**
 * Warm sessions for the creates of a round: the equal ones ask for theirs in one statement. Where such a create came warm the last time, its claim goes
 * out with the round's first statements, by the template as it was then; a round that finds it has changed is undone, and done again without.
 */
import { perPool, type Tx } from '#db/client.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import type { TokenActor } from '../context.ts'
import { type Claimed, claimWarm } from '../pools/claim.ts'
import { canComeWarm, fitOf } from '../pools/fit.ts'
import type { TemplateBody } from '../templates/schema.ts'
import type { Wish } from './place.ts'
import type { SessionCreate } from './schema.ts'
import { type BuiltSpec, buildSpec } from './spec.ts'

/** What a create would take, if it is warm. */
export interface Want {
  spec: SessionSpec
  wish: Wish
}

/** By what the last one found. */
export interface Hinted extends Want {
  built: BuiltSpec
  hint: WarmHint
}

const mostHints = 1_000

/** What a create found that came warm. */
export interface WarmHint {
  /** Its template. */
  body: TemplateBody
  /** Its project's sessions are not counted. */
  unlimited: boolean
  /** What was asked for when it was the same as what came (`likeness`); null: it was not. */
  same: string | null
}

/** Creates of equal likeness differ only in what a warm session has no part in. */
export const likeness = ({ env, display }: SessionCreate) => JSON.stringify([env, display])

/** What those found of which the last came warm. */
export class WarmHints {
  private readonly hints = new Map<string, WarmHint>()

  note(project: string, template: string, hint: WarmHint | null): void {
    const key = JSON.stringify([project, template])
    this.hints.delete(key)
    if (hint) this.hints.set(key, hint)
    if (this.hints.size > mostHints) this.hints.delete(this.hints.keys().next().value!)
  }

  of(project: string, template: string): WarmHint | undefined {
    return this.hints.get(JSON.stringify([project, template]))
  }

  /** null: nothing says that it may come warm. */
  want({ project, user }: TokenActor, input: SessionCreate, wish: Wish): Hinted | null {
    const hint = this.of(project, input.template)
    if (!hint || input.volume) return null
    try {
      const built = buildSpec({ id: input.template, body: hint.body }, input, { project, user })
      return canComeWarm(built.spec) ? { hint, built, spec: built.spec, wish } : null
    } catch {
      // Refused by that template: the round says so, by the template that is there.
      return null
    }
  }
}

export const hintsOf = perPool(() => new WarmHints())

/** For each what it got; null: nothing. */
export async function claimEach(tx: Tx, project: string, wants: readonly (Want | null)[]): Promise<(Claimed | null)[]> {
  const got: (Claimed | null)[] = wants.map(() => null)
  const groups = new Map<string, number[]>()
  for (const [n, want] of wants.entries()) {
    if (!want) continue
    const key = JSON.stringify([fitOf(want.spec), want.spec.env, want.spec.display, want.wish])
    groups.set(key, [...(groups.get(key) ?? []), n])
  }
  await Promise.all(
    [...groups.values()].map(async group => {
      const { spec, wish } = wants[group[0]!]!
      const claimed = await claimWarm(tx, { project, spec, placement: wish }, group.length)
      for (const [n, warm] of claimed.entries()) got[group[n]!] = warm
    }),
  )
  return got
}
