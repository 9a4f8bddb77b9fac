/**
 * Loads templates.json: at first start all of it, later what a new version changed. A template that someone edited or deleted here is theirs:
 * what was loaded last is remembered, and only a row that still equals it is replaced.
 */

import { z } from '@hono/zod-openapi'
import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { settings, templates } from '#db/schema.ts'
import { TemplateCreate } from './schema.ts'
import catalogue from './templates.json' with { type: 'json' }

const key = 'builtin_templates'
const Loaded = z.record(z.string(), z.string())

/** Safe to run on every replica at once: the setting's row is the lock. */
export async function loadBuiltinTemplates(db: Db, given: unknown = catalogue): Promise<void> {
  const wanted = z.array(TemplateCreate).parse(given)
  await db.transaction(async tx => {
    await tx.insert(settings).values({ key, value: {} }).onConflictDoNothing()
    const [setting] = await tx.select().from(settings).where(eq(settings.key, key)).for('update')
    const loaded = Loaded.parse(setting?.value ?? {})
    for (const { id, name = id, description, project: _, ...body } of wanted) {
      const text = canonical({ name, description, body })
      if (loaded[id] === text) continue
      const [row] = await tx
        .select()
        .from(templates)
        .where(and(eq(templates.id, id), isNull(templates.project_id)))
      if (row && loaded[id] === canonical(row)) {
        await tx
          .update(templates)
          .set({ name, description, body, updated_at: sql`clock_timestamp()` })
          .where(and(eq(templates.id, id), isNull(templates.project_id)))
      } else if (!row && loaded[id] === undefined) {
        await tx.insert(templates).values({ id, name, description, body })
      }
      loaded[id] = text
    }
    await tx.update(settings).set({ value: loaded }).where(eq(settings.key, key))
  })
}

/** jsonb does not keep the order of keys. */
function canonical({ name, description, body }: { name: string; description: string; body: unknown }): string {
  return JSON.stringify([name, description, body], (_, value) =>
    value && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}
