import { expect, test } from 'vitest'
import type { FileEntry } from '../../api/contract.ts'
import { hiddenCount, nameOf, shownFiles } from './file-list.ts'

const entry = (name: string, type: FileEntry['type'] = 'file'): FileEntry => ({ name, type, size: 1, modified_at: '' })
const names = (entries: FileEntry[]) => entries.map(one => one.name)

test('folders come first, numbers are counted, and dotfiles wait until they are asked for', () => {
  const entries = [entry('b10'), entry('b9'), entry('.profile'), entry('Downloads', 'folder'), entry('.config', 'folder')]
  expect(names(shownFiles(entries, false))).toEqual(['Downloads', 'b9', 'b10'])
  expect(names(shownFiles(entries, true))).toEqual(['.config', 'Downloads', '.profile', 'b9', 'b10'])
  expect(hiddenCount(entries)).toBe(2)
})

test.each([
  ['a b.txt', 'a b.txt'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\x\\y.png', 'y.png'],
  ['..', null],
  ['', null],
])('%j is kept as %j', (name, kept) => {
  expect(nameOf({ name })).toBe(kept)
})
