/** Full jitter: a random wait between a floor and a bound that doubles with each attempt. `attempt` counts from 1. */
export interface BackoffLimits {
  floorMs: number
  baseMs: number
  capMs: number
}

export const eventBackoff: BackoffLimits = { floorMs: 300, baseMs: 1_000, capMs: 15_000 }
export const screenBackoff: BackoffLimits = { floorMs: 400, baseMs: 1_000, capMs: 15_000 }

export function backoffDelay(attempt: number, random: () => number, limits: BackoffLimits): number {
  const bound = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(limits.floorMs + random() * Math.max(0, bound - limits.floorMs))
}
