/**
 * Kubernetes quantities: `500m`, `2`, `0.5`, `512Mi`, `2G`, `1e3`. cpu becomes millicores, memory and storage become bytes; like Kubernetes,
 * fractions of the smallest unit round up. Exact: the digits are taken as integers, never as floating point.
 */
const pattern = /^\+?(\d{0,18})(?:\.(\d{0,18}))?(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d{1,2}))?$/

/** [base, exponent] of each suffix. */
const suffixes: Record<string, [bigint, number]> = {
  n: [10n, -9],
  u: [10n, -6],
  m: [10n, -3],
  k: [10n, 3],
  M: [10n, 6],
  G: [10n, 9],
  T: [10n, 12],
  P: [10n, 15],
  E: [10n, 18],
  Ki: [2n, 10],
  Mi: [2n, 20],
  Gi: [2n, 30],
  Ti: [2n, 40],
  Pi: [2n, 50],
  Ei: [2n, 60],
}

export class QuantityError extends Error {}

/** Whole units of 1/`scale`, rounded up. */
function parse(text: string, scale: bigint, example: string): number {
  const match = pattern.exec(text)
  const whole = match?.[1] ?? ''
  const fraction = match?.[2] ?? ''
  if (!match || whole + fraction === '') {
    throw new QuantityError(`${JSON.stringify(text.slice(0, 40))} is not a quantity; write it like ${example}.`)
  }
  const [base, power] = match[3] ? suffixes[match[3]]! : [10n, Number(match[4] ?? 0)]
  let above = BigInt(whole + fraction) * scale
  let below = 10n ** BigInt(fraction.length)
  if (power < 0) below *= base ** BigInt(-power)
  else above *= base ** BigInt(power)
  const value = (above + below - 1n) / below
  if (value <= 0n) throw new QuantityError(`${JSON.stringify(text)} must be more than zero.`)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new QuantityError(`${JSON.stringify(text)} is more than anything has.`)
  return Number(value)
}

/** `500m` -> 500, `2` -> 2000. */
export function cpuMillis(text: string): number {
  const value = parse(text, 1000n, '"2" or "500m"')
  if (value > 2_147_483_647) throw new QuantityError(`${JSON.stringify(text)} is more than anything has.`)
  return value
}

/** Memory and storage: `512Mi` -> 536870912. */
export function storageBytes(text: string): number {
  return parse(text, 1n, '"2Gi" or "512Mi"')
}

/** What people ask for. `512m` is half a byte in Kubernetes: whoever writes that means `512Mi`. */
export function askedBytes(text: string): number {
  const bytes = storageBytes(text)
  if (bytes < 1024 ** 2) throw new QuantityError(`${JSON.stringify(text)} is less than 1Mi; 512 mebibytes are "512Mi".`)
  return bytes
}

/** The shortest exact way to write it: 2000 -> `2`, 500 -> `500m`. */
export function cpuQuantity(millis: number): string {
  return millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`
}

/** The largest binary unit that is exact: 536870912 -> `512Mi`. */
export function bytesQuantity(bytes: number): string {
  let unit = 0
  let value = BigInt(bytes)
  while (value > 0n && value % 1024n === 0n && unit < 6) {
    value /= 1024n
    unit++
  }
  return `${value}${['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'][unit]}`
}
