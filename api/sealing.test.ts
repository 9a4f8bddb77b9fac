import { describe, expect, it } from 'vitest'
import { ApiConfig } from './config.ts'
import { CannotOpen, keyId, Sealing, sealingOf } from './sealing.ts'

const key = 'a'.repeat(43)
const other = 'b'.repeat(43)

describe('sealing', () => {
  it.each(['', 'hunter2', 'ü🔑\n\0', 'x'.repeat(100_000)])('opens what it sealed (%#)', async text => {
    const sealing = new Sealing([key])
    expect(await sealing.open(await sealing.seal(text, 'here/1'), 'here/1')).toBe(text)
  })

  it('never looks the same twice, and never like the text', async () => {
    const sealing = new Sealing([key])
    const all = await Promise.all(Array.from({ length: 20 }, () => sealing.seal('correct horse', 'p')))
    expect(new Set(all).size).toBe(20)
    expect(all.join(' ')).not.toContain(btoa('correct horse').slice(0, 8))
  })

  it('opens only in its place, with its key, unchanged', async () => {
    const sealing = new Sealing([key])
    const sealed = await sealing.seal('secret', 'registries/reg_1')
    await expect(sealing.open(sealed, 'registries/reg_2')).rejects.toThrow(CannotOpen)
    await expect(new Sealing([other]).open(sealed, 'registries/reg_1')).rejects.toThrow(CannotOpen)
    for (let at = 0; at < sealed.length; at++) {
      const changed = `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`
      await expect(sealing.open(changed, 'registries/reg_1')).rejects.toThrow(CannotOpen)
    }
    for (const junk of ['', 'v1...', 'secret', `v2${sealed.slice(2)}`])
      await expect(sealing.open(junk, 'registries/reg_1')).rejects.toThrow(CannotOpen)
  })

  it('a new key in front seals; the old one still opens', async () => {
    const old = await new Sealing([key]).seal('kept', 'p')
    const both = new Sealing([other, key])
    expect(await both.open(old, 'p')).toBe('kept')
    const fresh = await both.seal('new', 'p')
    expect(fresh).toContain(await keyId(other))
    expect(await new Sealing([other]).open(fresh, 'p')).toBe('new')
  })

  it('without a key nothing is kept', () => {
    expect(() => sealingOf(ApiConfig.parse({ version: '0' }))).toThrow(/SECRETS_KEY/)
    const config = ApiConfig.parse({ version: '0', secretsKeys: [key] })
    expect(sealingOf(config)).toBe(sealingOf(config))
  })
})
