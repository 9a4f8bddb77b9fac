/** Reading tokens: those of the actor's own project, or any for an admin. */
import { and, desc, eq, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { projects, tokens } from '#db/schema.ts'
import { tokenLives } from '../auth.ts'
import { type Ctx, projectWall } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import { afterCursor, page } from '../paging.ts'
import { notFound } from '../problem.ts'
import type { Token, TokenFilters } from './schema.ts'
import { type TokenRow, tokenView } from './view.ts'

export async function listTokens(ctx: Ctx, query: TokenFilters) {
  const wall = projectWall(ctx)
  const project = wall ?? query.project
  const foreign = wall !== null && query.project !== undefined && query.project !== wall
  const [now, rows] = await Promise.all([
    databaseNow(ctx.db),
    ctx.db
      .select({ row: tokens })
      .from(tokens)
      .innerJoin(projects, eq(projects.id, tokens.project_id))
      .where(
        and(
          foreign ? sql`false` : undefined,
          project === undefined ? undefined : eq(tokens.project_id, project),
          query.user ? eq(tokens.user_id, query.user) : undefined,
          query.status === 'active' ? tokenLives : undefined,
          query.status === 'ended' ? sql`not (${tokenLives})` : undefined,
          afterCursor(query.cursor, tokens.created_at, tokens.id),
        ),
      )
      .orderBy(desc(tokens.created_at), desc(tokens.id))
      .limit(query.limit + 1),
  ])
  return page(
    rows.map(({ row }) => row),
    query.limit,
    row => tokenView(row, now),
  )
}

export async function getToken(ctx: Ctx, id: string): Promise<Token> {
  return tokenView(await findToken(ctx, ctx.db, id), await databaseNow(ctx.db))
}

export async function findToken(ctx: Ctx, db: Sql, id: string, lock = false): Promise<TokenRow> {
  const wall = projectWall(ctx)
  const query = db
    .select()
    .from(tokens)
    .where(and(eq(tokens.id, id), wall === null ? undefined : eq(tokens.project_id, wall)))
  const [row] = await (lock ? query.for('update') : query)
  if (!row) throw notFound('token')
  return row
}
