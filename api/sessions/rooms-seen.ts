/**
 * What clusters held when it was last counted. A cluster's number (`seq`) moves with everything that takes room there and its epoch with what it can
 * take, so while both stand, or have moved only by what was placed from here, it holds no more than that, and counting thousands again for each
 * create tells nothing new. Near the limit it is always counted: there, what ended meanwhile counts.
 */
import { perPool } from '#db/client.ts'
import type { Candidate } from '../clusters/placement.ts'

/** A cluster as it was read. */
export interface CountedCluster extends Candidate {
  seq: number
  epoch: number
  warm: number
  /** False: known from here. */
  counted: boolean
}

export interface Seen {
  id: string
  seq: number
  epoch: number
  sessions: number
  warm: number
}

export interface Placed {
  cold: number
  warm: number
}

/** What ends is not seen from here, so it is counted again after so many ms. */
const countAfterMs = 1_000

export class RoomsSeen {
  private readonly rooms = new Map<string, Seen & { capacity: number; at: number }>()
  private readonly now: () => number

  constructor(now = () => performance.now()) {
    this.now = now
  }

  /** Those with room for `more` beyond doubt. */
  roomy(more: number): Seen[] {
    const now = this.now()
    const roomy: Seen[] = []
    for (const [id, { capacity, at, ...seen }] of this.rooms) {
      if (now - at >= countAfterMs || seen.sessions + seen.warm + more > capacity) this.rooms.delete(id)
      else roomy.push(seen)
    }
    return roomy
  }

  /** As read, before anything is placed there. */
  read(clusters: readonly CountedCluster[]): void {
    for (const { id, seq, epoch, sessions, warm, counted, capabilities } of clusters) {
      const capacity = capabilities?.capacity.sessions ?? 0
      if (counted) this.rooms.set(id, { id, seq, epoch, sessions, warm, capacity, at: this.now() })
    }
  }

  /** Committed, by one who had read `seq` there. Where others came between, the numbers differ from then on, and it is counted again. */
  placed(id: string, seq: number, { cold, warm }: Placed): void {
    const seen = this.rooms.get(id)
    if (seen?.seq !== seq) return
    seen.seq += cold + warm
    seen.sessions += cold + warm
    seen.warm -= warm
  }
}

export const roomsOf = perPool(() => new RoomsSeen())
