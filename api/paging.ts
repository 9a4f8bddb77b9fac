/** Lists: newest first, a `limit`, and an opaque cursor that names the last row seen (created_at, id). */
import { z } from '@hono/zod-openapi'
import { type AnyColumn, and, eq, lt, or, type Placeholder, type SQL } from 'drizzle-orm'
import { invalid } from './problem.ts'

export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20).openapi({ description: 'How many at most.' }),
  cursor: z.string().max(200).optional().openapi({ description: '`next_cursor` of the page before.' }),
})
export type PageQuery = z.infer<typeof PageQuery>

export function pageOf<T extends z.ZodType>(item: T, name: string) {
  return z
    .object({ object: z.literal('list'), data: z.array(item), has_more: z.boolean(), next_cursor: z.string().nullable() })
    .openapi(name)
}

/** Rows after the cursor, in the order created_at desc, id desc. */
export function afterCursor(cursor: string | undefined, createdAt: AnyColumn, id: AnyColumn): SQL | undefined {
  const last = readCursor(cursor)
  return last && afterLast(last.at, last.id, createdAt, id)
}

export function afterLast(at: Date | Placeholder, after: string | Placeholder, createdAt: AnyColumn, id: AnyColumn) {
  return or(lt(createdAt, at), and(eq(createdAt, at), lt(id, after)))
}

/** The last row seen. */
export function readCursor(cursor: string | undefined): { at: Date; id: string } | undefined {
  if (!cursor) return undefined
  const match = /^([0-9a-z]{1,9})\.([0-9a-z_-]{1,64})$/.exec(cursor)
  if (!match) throw invalid('?cursor', 'This cursor is not one that a list gave.')
  return { at: new Date(Number.parseInt(match[1]!, 36)), id: match[2]! }
}

/** Give it `limit + 1` rows. */
export function page<R extends { created_at: Date; id: string }, T>(rows: R[], limit: number, view: (row: R) => T) {
  const more = rows.length > limit
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    object: 'list' as const,
    data: shown.map(view),
    has_more: more,
    next_cursor: more && last ? `${last.created_at.getTime().toString(36)}.${last.id}` : null,
  }
}
