/** Networks in CIDR notation, IPv4 and IPv6, compared as numbers. Portable: Workers have no `node:net`. */
interface Network {
  family: 4 | 6
  first: bigint
  bits: number
}

const width = { 4: 32, 6: 128 } as const

/** null: no address. IPv4 written as IPv6 (`::ffff:10.0.0.1`) is IPv4. */
export function readAddress(text: string): { family: 4 | 6; value: bigint } | null {
  if (text.length > 45) return null
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)
  const four = readFour(mapped ? mapped[1]! : text)
  if (four !== null) return { family: 4, value: four }
  const six = readSix(text)
  return six === null ? null : { family: 6, value: six }
}

function readFour(text: string): bigint | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function readSix(text: string): bigint | null {
  const halves = text.split('::')
  if (halves.length > 2 || text === '') return null
  const groups = (half: string) => (half === '' ? [] : half.split(':'))
  const head = groups(halves[0]!)
  const tail = groups(halves[1] ?? '')
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const all = [...head, ...Array<string>(halves.length === 1 ? 0 : missing).fill('0'), ...tail]
  if (!all.every(group => /^[0-9a-f]{1,4}$/i.test(group))) return null
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; null: neither. */
export function readNetwork(text: string): Network | null {
  const [address = '', length, ...more] = text.split('/')
  const found = readAddress(address)
  if (!found || more.length > 0 || (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length))) return null
  const most = width[found.family]
  const bits = length === undefined ? most : Number(length)
  if (bits > most) return null
  return { family: found.family, first: masked(found.value, found.family, bits), bits }
}

const masked = (value: bigint, family: 4 | 6, bits: number) => {
  const rest = BigInt(width[family] - bits)
  return (value >> rest) << rest
}

/** An address that cannot be read is in no network. */
export function isWithin(address: string, networks: readonly string[]): boolean {
  const found = readAddress(address)
  if (!found) return false
  return networks.some(text => {
    const network = readNetwork(text)
    return network?.family === found.family && masked(found.value, found.family, network.bits) === network.first
  })
}

/** Every address of `inner` is in one of `outer`. */
export function isInside(inner: string, outer: readonly string[]): boolean {
  const small = readNetwork(inner)
  return outer.some(text => {
    const large = readNetwork(text)
    if (!small || !large || small.family !== large.family || large.bits > small.bits) return false
    return masked(small.first, small.family, large.bits) === large.first
  })
}
