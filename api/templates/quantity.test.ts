import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesQuantity, cpuMillis, cpuQuantity, QuantityError, storageBytes } from './quantity.ts'

describe('quantities as Kubernetes reads them', () => {
  it.each([
    ['500m', 500],
    ['2', 2000],
    ['0.5', 500],
    ['.5', 500],
    ['1.', 1000],
    ['+1', 1000],
    ['0.1', 100],
    ['1e3', 1_000_000],
    ['1E-1', 100],
    ['100n', 1],
    ['1500u', 2],
    ['1k', 1_000_000],
  ])('cpu %s', (text, millis) => expect(cpuMillis(text)).toBe(millis))

  it.each([
    ['512Mi', 536_870_912],
    ['2Gi', 2_147_483_648],
    ['1.5Gi', 1_610_612_736],
    ['2G', 2_000_000_000],
    ['1e3', 1000],
    ['1', 1],
    ['100m', 1],
    ['1Ti', 1_099_511_627_776],
    ['1k', 1000],
  ])('memory %s', (text, bytes) => expect(storageBytes(text)).toBe(bytes))

  it.each([
    '',
    ' ',
    '-1',
    '1 Gi',
    'Gi',
    '.',
    '1.2.3',
    '1gi',
    '1KI',
    '1K',
    '2Gb',
    '0x10',
    '1e',
    '1e3Mi',
    'NaN',
    'Infinity',
    '1_000',
    '0',
    '0m',
    '0.0',
    '１',
    '1\n',
    '9'.repeat(400),
    '1e99',
    '100Ei',
  ])('refuses %j with words', text => {
    expect(() => storageBytes(text)).toThrow(QuantityError)
    expect(() => cpuMillis(text)).toThrow(QuantityError)
  })

  it('writes what it reads', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 2_147_483_647 }), n => cpuMillis(cpuQuantity(n)) === n))
    fc.assert(fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), n => storageBytes(bytesQuantity(n)) === n))
  })

  it('is exact where floating point is not: a decimal equals its digits moved', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), fc.integer({ min: 0, max: 999 }), (whole, thousandths) => {
        const text = `${whole}.${String(thousandths).padStart(3, '0')}`
        return cpuMillis(text) === whole * 1000 + thousandths && storageBytes(`${text}k`) === whole * 1000 + thousandths
      }),
    )
  })

  it('never throws anything but its own error', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 24, unit: fc.constantFrom(...'0123456789.+-eEmkMGTPKi \n') }), text => {
        try {
          return storageBytes(text) >= 1
        } catch (error) {
          return error instanceof QuantityError
        }
      }),
      { numRuns: 2000 },
    )
  })
})
