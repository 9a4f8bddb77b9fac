/** Amounts for people. */
export function bytes(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = amount
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value >= 100 || unit === 0 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function cores(millis: number | null | undefined): string {
  if (millis === null || millis === undefined) return '–'
  const value = millis / 1000
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${value === 1 ? 'core' : 'cores'}`
}

export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`
}

export function ordinal(position: number): string {
  const tens = position % 100
  const suffix = tens >= 11 && tens <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][position % 10] ?? 'th')
  return `${position}${suffix}`
}

/** 0..1, or null where there is no limit to compare with. */
export function share(used: number, limit: number | null | undefined): number | null {
  if (limit === null || limit === undefined) return null
  return limit <= 0 ? 1 : Math.min(1, Math.max(0, used / limit))
}

const factors: Record<string, number> = {
  '': 1,
  m: 1 / 1000,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
}

/** A Kubernetes quantity as a number: `500m` is 0.5, `2Gi` is 2147483648; null for what is none. */
export function amountOf(quantity: string | null | undefined): number | null {
  const found = /^(\d+(?:\.\d+)?)([a-zA-Z]{0,2})$/.exec(quantity ?? '')
  const factor = found ? factors[found[2] ?? ''] : undefined
  return factor === undefined ? null : Number(found?.[1]) * factor
}
