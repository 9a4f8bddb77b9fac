import { expect, test } from 'vitest'
import { argumentOf, withArgument } from './build-arguments.ts'

test('one argument is read and changed, the others stay as they were written', () => {
  const text = 'VERSION=1.4.2\nMODE = fast=yes\n# odd line'
  expect([argumentOf(text, 'VERSION'), argumentOf(text, 'MODE'), argumentOf(text, 'ELSE')]).toEqual(['1.4.2', 'fast=yes', ''])
  expect(withArgument(text, 'MODE', 'slow')).toBe('VERSION=1.4.2\nMODE=slow\n# odd line')
  expect(withArgument(text, 'VERSION', '')).toBe('MODE = fast=yes\n# odd line')
  expect(withArgument('', 'A', '1')).toBe('A=1')
  expect(withArgument('A=1\n', 'B', '2')).toBe('A=1\nB=2')
  expect(withArgument('A=1', 'B', '')).toBe('A=1')
})

test('a value stays on its line', () => {
  expect(withArgument('', 'A', 'x\nB=2')).toBe('A=x B=2')
})
