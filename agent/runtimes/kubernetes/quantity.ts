/** Kubernetes quantities: `500m`, `2Gi`, `1e3`. */
const factors: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** null: absent or not a quantity. */
export function parseQuantity(text: string | undefined): number | null {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/.exec(text ?? '')
  return match ? Number(match[1]) * factors[match[2] ?? '']! : null
}

export const cpuQuantity = (millis: number): string => `${Math.max(1, Math.round(millis))}m`
export const bytesQuantity = (bytes: number): string => String(Math.max(1, Math.round(bytes)))

/** `2.0 GiB`, `512 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(bytes % 2 ** 30 === 0 ? 0 : 1)} GiB`
  return `${Math.round(bytes / 2 ** 20)} MiB`
}
