import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bearerOf, cookieOf } from '../auth.ts'
import { Problem } from '../problem.ts'
import { isSecret, mintSecret, mintUserToken, projectHint, readUserToken, type SecretKind, sameDigest } from './format.ts'

const project = 'prj_0mwpuxsm0ycm'
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

describe('user tokens', () => {
  it('have the published shape, carry their hints, and never repeat', () => {
    const tokens = Array.from({ length: 500 }, () => mintUserToken(project, 'ann'))
    for (const token of tokens) {
      expect(token).toMatch(/^vnc-sk-proj-([0-9a-z]{1,32})-([0-9a-z]{1,32})-([0-9A-Za-z]{49})$/)
      expect(readUserToken(token)).toEqual({ projectHint: projectHint(project), user: 'ann' })
    }
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  it('no typo of one character is taken for a token', () => {
    let accepted = 0
    let tried = 0
    for (let round = 0; tried < 200_000; round++) {
      const token = mintUserToken(project, `u${round}`)
      for (let at = 0; at < token.length; at++) {
        for (const char of `${base62}-_ `) {
          if (char === token[at] || (tried * 7 + at) % 3 !== 0) {
            tried++
            continue
          }
          tried++
          if (readUserToken(token.slice(0, at) + char + token.slice(at + 1))) accepted++
        }
      }
    }
    expect(accepted).toBe(0)
  })

  it('are found in text by the pattern that is published, and by nothing else', async () => {
    const page = await readFile(new URL('../../docs/security.md', import.meta.url), 'utf8')
    const published = [...page.matchAll(/`(vnc-[^`]*\{49\})`/g)].map(match => new RegExp(match[1]!, 'g'))
    expect(published).toHaveLength(2)
    const token = mintUserToken(project, 'ann')
    const others = (['join', 'tk', 'se', 'st', 'lk'] as const).map(mintSecret)
    const text = [
      `export TOKEN="${token}"`,
      `{"t":"${others.join('","')}"}`,
      'vnc-sk-proj-abc-ann-short',
      crypto.randomUUID(),
    ].join('\n')
    expect(published.flatMap(pattern => text.match(pattern) ?? []).sort()).toEqual([token, ...others].sort())
  })

  it('no look-alike is', () => {
    const secret = fc.string({ unit: fc.constantFrom(...base62), minLength: 49, maxLength: 49 })
    fc.assert(
      fc.property(secret, text => readUserToken(`vnc-sk-proj-abc-ann-${text}`) === null),
      { numRuns: 20_000 },
    )
  })

  it.each([
    ['empty', ''],
    ['a megabyte', 'vnc-sk-proj-a-b-'.padEnd(1_000_000, 'x')],
    ['a project with a dash', mintUserToken('prj_a-b', 'ann')],
    ['an upper-case user', mintUserToken(project, 'Ann')],
    ['no user', mintUserToken(project, '')],
    ['a user of 33', mintUserToken(project, 'a'.repeat(33))],
    ['a newline at the end', `${mintUserToken(project, 'ann')}\n`],
    ['upper case', mintUserToken(project, 'ann').toUpperCase()],
    ['a Cyrillic letter', mintUserToken(project, 'ann').replace('vnc', 'vnс')],
    ['a ticket', mintSecret('tk')],
  ])('%s is none', (_, text) => expect(readUserToken(text)).toBeNull())
})

describe('other secrets', () => {
  const kinds: SecretKind[] = ['join', 'tk', 'se', 'st', 'lk']
  it('are of one kind only', () => {
    for (const minted of kinds) {
      const secret = mintSecret(minted)
      for (const asked of kinds) expect(isSecret(asked, secret)).toBe(asked === minted)
      expect(readUserToken(secret)).toBeNull()
      expect(isSecret(minted, secret.slice(0, -1))).toBe(false)
      expect(isSecret(minted, `${secret} `)).toBe(false)
    }
    expect(isSecret('tk', mintUserToken(project, 'ann'))).toBe(false)
  })

  it('digests compare by every byte', () => {
    const digest = Uint8Array.from({ length: 32 }, (_, i) => i)
    expect(sameDigest(digest, digest.slice())).toBe(true)
    for (let at = 0; at < 32; at++) expect(sameDigest(digest, digest.with(at, 255))).toBe(false)
    expect(sameDigest(digest, digest.slice(1))).toBe(false)
  })
})

describe('Authorization', () => {
  const token = mintUserToken(project, 'ann')
  it.each([
    [`Bearer ${token}`, token],
    [`bearer ${token}`, token],
    [`BEARER ${token}`, token],
  ])('%s', (value, read) => expect(bearerOf(new Headers({ authorization: value }))).toBe(read))

  it('absent is not an error', () => expect(bearerOf(new Headers())).toBeNull())

  it.each([
    '',
    'Bearer',
    `Basic ${token}`,
    token,
    `Bearer  ${token}`,
    `Bearer\t${token}`,
    `Bearer ${token} x`,
    `Bearer ${token}, Bearer ${token}`,
    `Bearer,${token}`,
    `xBearer ${token}`,
  ])('%j is refused', value => expect(() => bearerOf(new Headers({ authorization: value }))).toThrow(Problem))

  it('two of them are refused', () => {
    const headers = new Headers()
    headers.append('authorization', `Bearer ${token}`)
    headers.append('authorization', `Bearer ${token}`)
    expect(() => bearerOf(headers)).toThrow(Problem)
  })

  it.each([
    ['__Host-porthole=abc', 'abc'],
    ['a=b; porthole=abc; c=d', 'abc'],
    ['portholes=abc', null],
    ['x__Host-porthole=abc', null],
    ['__Host-porthole=', null],
    ['', null],
  ])('cookie %j', (cookie, read) => expect(cookieOf(new Headers({ cookie }))).toBe(read))
})
