/** The images that a manifest's pods would run, wherever they stand. Depends on no check: what cannot be read is not applied either. */
import { parseText } from './document-text.ts'
import { isObject } from './rules.ts'

export function imagesOfManifest(text: string): string[] {
  return [...new Set(parseText(text).documents.flatMap(({ value }) => imagesIn(value)))]
}

function imagesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(imagesIn)
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, item]) => (key === 'image' && typeof item === 'string' ? [item] : imagesIn(item)))
}
