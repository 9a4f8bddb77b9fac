/** Who am I, what may I, and what is left of it: asked by every dashboard all the time, so one statement for all who ask at once. */
import { sql } from 'drizzle-orm'
import { keptSql, rowsOf } from '#db/kept.ts'
import type { Quotas } from '#db/schema.ts'
import { textArray, together } from '#db/together.ts'
import { unauthorized } from '../auth.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { aheadOfRates, leftOfRate } from '../limits/gcra.ts'
import { projectRate } from '../limits/middleware.ts'
import { type ToldUsage, toldOf, type UsageColumns, usageColumns } from '../projects/quotas.ts'
import { limitsView, remainingOf, usageView } from '../projects/view.ts'
import type { Me } from './schema.ts'

interface TokenRow {
  id: string
  name: string
  last4: string
  created_at: string
  project_name: string
  quotas: Quotas
}

interface Columns extends UsageColumns {
  tokens: TokenRow[]
  rates: { key: string; ahead_ms: number }[]
}

/** Selected, so that Postgres cannot count them and plan anew for each number: that costs it several times what the reading does. */
const list = (name: string) => sql`(select ${sql.placeholder(name)}::text[])::text[]`

const readAll = keptSql<Columns>(sql`select
  ${rowsOf(sql`
    select t.id, t.name, t.last4, t.created_at, p.name as project_name, p.quotas
    from tokens t join projects p on p.id = t.project_id where t.id = any(${list('tokens')})`)} as tokens,
  ${rowsOf(aheadOfRates(list('keys')))} as rates,
  ${usageColumns(list('projects'))}`)

interface Asked {
  token: string
  project: string
  key: string
}

const standing = together<Asked, { token: TokenRow | undefined; aheadMs: number | undefined; usage: ToldUsage }>({
  atOnce: 2,
  most: 100,
  patienceMs: 5,
  async work(db, asked) {
    const all = (what: keyof Asked) => textArray([...new Set(asked.map(each => each[what]))])
    const [row] = await readAll(db, { tokens: all('token'), projects: all('project'), keys: all('key') })
    return asked.map(({ token, project, key }) => ({
      value: {
        token: row!.tokens.find(({ id }) => id === token),
        aheadMs: row!.rates.find(each => each.key === key)?.ahead_ms,
        usage: toldOf(row!, project),
      },
    }))
  },
})

export async function getMe(ctx: Ctx): Promise<Me> {
  const actor = tokenActor(ctx)
  const rate = projectRate(ctx)
  const { token, aheadMs, usage } = await standing(ctx.db, { token: actor.token, project: actor.project, key: rate.key })
  if (!token) throw unauthorized()
  const scopes = [...actor.scopes]
  return {
    id: actor.token,
    object: 'me',
    project: { id: actor.project, object: 'project', name: token.project_name },
    user: actor.user,
    token: {
      id: token.id,
      name: token.name,
      scopes,
      expires_at: actor.expiresAt === null ? null : new Date(actor.expiresAt).toISOString(),
      last4: token.last4,
    },
    scopes,
    limits: { ...limitsView(token.quotas), requests_per_minute: rate.perMinute },
    usage: usageView(usage),
    remaining: { ...limitsView(remainingOf(token.quotas, usage)), requests_per_minute: leftOfRate(aheadMs, rate) },
    created_at: new Date(token.created_at).toISOString(),
  }
}
