/** Row -> the JSON of a template: its body is told flat, beside its name. */
import type { InferSelectModel } from 'drizzle-orm'
import type { templates } from '#db/schema.ts'
import type { Template, TemplateBody } from './schema.ts'

export type TemplateRow = InferSelectModel<typeof templates>

export function templateView(row: TemplateRow): Template {
  return {
    id: row.id,
    object: 'template',
    name: row.name,
    description: row.description,
    project: row.project_id,
    ...bodyOf(row),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

/** The column is written only from a checked `TemplateBody`. */
export function bodyOf(row: Pick<TemplateRow, 'body'>): TemplateBody {
  return row.body as TemplateBody
}
