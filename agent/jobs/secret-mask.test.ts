import { expect, test } from 'vitest'
import { SecretMask } from './secret-mask.ts'

const masked = (secrets: string[], parts: string[]) => {
  const mask = new SecretMask(secrets)
  return parts.map(part => mask.push(Buffer.from(part)).toString('latin1')).join('') + mask.flush().toString('latin1')
}

test('every cut of the output hides the same bytes, and none is lost', () => {
  const text = `a=hunter22 b=${Buffer.from('hunter22').toString('base64')} c=p%40ss%20word hunter2 hunthunter22hunter22`
  const secrets = ['hunter22', 'p@ss word']
  const whole = masked(secrets, [text])
  expect(whole).toHaveLength(text.length)
  expect(whole).not.toMatch(/hunter22|aHVudGVyMjI|p%40ss/)
  expect(whole).toContain('hunter2 hunt*****')
  for (let cut = 0; cut <= text.length; cut++) expect(masked(secrets, [text.slice(0, cut), text.slice(cut)])).toBe(whole)
  expect(masked(secrets, [...text])).toBe(whole)
})

test('holds back no more than what may begin a secret; very short secrets are not hidden', () => {
  const mask = new SecretMask(['secret-value', 'abc'])
  expect(mask.push(Buffer.from('line 1\n')).toString()).toBe('line 1\n')
  expect(mask.push(Buffer.from('abc sec')).toString()).toBe('abc ')
  expect(mask.holdsNothing).toBe(false)
  expect(mask.push(Buffer.from('ond\n')).toString()).toBe('second\n')
})
