/** A folder of a session as it is shown: folders first, dotfiles only when asked for. Pure. */
import type { FileEntry } from '../../api/contract.ts'

const kinds: Record<FileEntry['type'], number> = { folder: 0, link: 1, file: 1, other: 2 }

export function shownFiles(entries: readonly FileEntry[], hidden: boolean): FileEntry[] {
  return entries
    .filter(one => hidden || !one.name.startsWith('.'))
    .sort((a, b) => kinds[a.type] - kinds[b.type] || a.name.localeCompare(b.name, undefined, { numeric: true }))
}

export const hiddenCount = (entries: readonly FileEntry[]) => entries.filter(one => one.name.startsWith('.')).length

/** What a file that is dropped may be called there; null: nothing of it can be kept. */
export function nameOf(file: { name: string }): string | null {
  const name = file.name.split(/[/\\]/).at(-1)?.replaceAll('\0', '') ?? ''
  return name === '' || name === '.' || name === '..' ? null : name
}
