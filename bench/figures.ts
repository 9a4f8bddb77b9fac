/** A measured number beside its peer of the same run. On a shared machine only their ratio means something. */

export interface Figure {
  suite: string
  name: string
  unit: string
  value: number
  /** What it is measured against; null: a figure that stands alone. */
  peer: { name: string; value: number } | null
  /** What the ratio value / peer (without a peer, or when it says so, the value itself) should be; told, not enforced. */
  target?: { is: 'at most' | 'at least'; than: number; of?: 'value' }
  /** Spread of the rounds: half the distance of the quartiles, as a share of the median. */
  noise?: number
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  if (sorted.length === 0) return Number.NaN
  const at = (sorted.length - 1) * share
  const low = sorted[Math.floor(at)]!
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at))
}

export function noiseOf(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median(values)
}

/** Each round runs every way once, in turning order, so that what else the machine does hits all of them. */
export async function interleaved<W extends string>(
  rounds: number,
  ways: Record<W, () => Promise<number>>,
): Promise<Record<W, number[]>> {
  const names = Object.keys(ways) as W[]
  const found = Object.fromEntries(names.map(name => [name, [] as number[]])) as Record<W, number[]>
  for (const name of names) await ways[name]()
  for (let round = 0; round < rounds; round++)
    for (let n = 0; n < names.length; n++) {
      const name = names[(n + round) % names.length]!
      found[name].push(await ways[name]())
    }
  return found
}

export function ratioOf({ value, peer }: Figure): number | null {
  return peer === null ? null : value / peer.value
}

function meant(figure: Figure): number {
  return (figure.target?.of === 'value' ? null : ratioOf(figure)) ?? figure.value
}

export function meets(figure: Figure): boolean | null {
  if (!figure.target) return null
  const measured = meant(figure)
  return figure.target.is === 'at most' ? measured <= figure.target.than : measured >= figure.target.than
}

export function table(figures: readonly Figure[]): string {
  const rows = figures.map(figure => {
    const ratio = ratioOf(figure)
    const ok = meets(figure)
    return [
      `${figure.suite}: ${figure.name}`,
      `${short(figure.value)} ${figure.unit}`,
      figure.peer ? `${short(figure.peer.value)} (${figure.peer.name})` : '',
      ratio === null ? '' : `${ratio.toFixed(2)}x`,
      figure.target
        ? `${figure.target.is === 'at most' ? '<=' : '>='} ${figure.target.than}${ratio === null || figure.target.of ? '' : 'x'}`
        : '',
      ok === null ? '' : ok ? 'met' : 'missed',
      figure.noise === undefined ? '' : `±${Math.round(figure.noise * 100)} %`,
    ]
  })
  const all = [['figure', 'Porthole', 'peer', 'ratio', 'target', '', 'noise'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map(row => row[column]!.length)))
  return all
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** How many of `once` a second, `atOnce` at any time. */
export async function perSecond(count: number, atOnce: number, once: () => Promise<unknown>): Promise<number> {
  let left = count
  const began = performance.now()
  const worker = async () => {
    while (left-- > 0) await once()
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return count / ((performance.now() - began) / 1000)
}
