import { describe, expect, it } from 'vitest'
import { isInside, isWithin, readNetwork } from './networks.ts'

describe('networks', () => {
  it.each([
    ['10.1.2.3', ['10.0.0.0/8'], true],
    ['11.1.2.3', ['10.0.0.0/8'], false],
    ['::ffff:10.1.2.3', ['10.0.0.0/8'], true],
    ['192.0.2.7', ['192.0.2.7'], true],
    ['192.0.2.8', ['192.0.2.7'], false],
    ['192.0.2.8', ['0.0.0.0/0'], true],
    ['192.0.2.8', ['::/0'], false],
    ['2001:db8::1', ['2001:db8::/32'], true],
    ['2001:db9::1', ['2001:db8::/32'], false],
    ['2001:DB8:0:0:0:0:0:1', ['2001:db8::1'], true],
    ['::1', ['::1/128', '10.0.0.0/8'], true],
    ['fe80::1', ['fe80::/10'], true],
    ['', ['0.0.0.0/0', '::/0'], false],
    ['unknown', ['0.0.0.0/0', '::/0'], false],
    ['10.0.0.01', ['10.0.0.0/8'], false],
  ])('%s in %j: %s', (address, networks, is) => expect(isWithin(address, networks)).toBe(is))

  it.each([
    '10.0.0.0/33',
    '10.0.0/8',
    '1.2.3.256',
    '2001:db8::/129',
    '::1::',
    '1:2:3:4:5:6:7:8:9',
    'example.com',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '',
    '/8',
  ])('%j is none', text => expect(readNetwork(text)).toBeNull())

  it.each([
    ['10.1.0.0/16', ['10.0.0.0/8'], true],
    ['10.0.0.0/7', ['10.0.0.0/8'], false],
    ['10.0.0.0/8', ['10.0.0.0/8'], true],
    ['0.0.0.0/0', ['10.0.0.0/8'], false],
    ['2001:db8:1::/48', ['10.0.0.0/8', '2001:db8::/32'], true],
  ])('%s inside %j: %s', (inner, outer, is) => expect(isInside(inner, outer)).toBe(is))
})
