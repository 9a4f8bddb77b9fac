/** Everything the agent remembers, in memory and on disk: the newest epoch and each session's fate. Writes are coalesced, one at a time. */
import type { Clock } from '../clock.ts'
import { freshMemory, recalledMemory, type SessionMemory, StoredState, storedMemory, storesTheSame } from './session-memory.ts'
import type { TextStore } from './state-file.ts'

const jitterMs = 20

/** For a person: what is on disk makes no sense. */
export class StateError extends Error {
  override readonly name = 'StateError'
}

export class AgentMemory {
  readonly sessions = new Map<string, SessionMemory>()
  /** Newest epoch ever accepted. */
  epoch = 0
  private saved = ''
  /** Each one's text, written anew only where it says something else: there may be thousands, of which one changed. */
  private readonly texts = new WeakMap<SessionMemory, { of: SessionMemory; wall: number; text: string }>()
  private writing: Promise<void> = Promise.resolve()
  private next: Promise<void> | null = null
  private readonly store: TextStore
  private readonly clock: Clock

  private constructor(store: TextStore, clock: Clock) {
    this.store = store
    this.clock = clock
  }

  /** Throws when the file is there but cannot be understood: guessing could run a generation twice. */
  static async load(store: TextStore, clock: Clock): Promise<AgentMemory> {
    const memory = new AgentMemory(store, clock)
    const text = await store.load()
    if (text === null) return memory
    const state = readState(text)
    memory.epoch = state.epoch
    for (const [id, stored] of Object.entries(state.sessions)) memory.sessions.set(id, recalledMemory(stored, clock))
    memory.saved = text
    return memory
  }

  /** The memory of exactly this generation; an older generation's is replaced. */
  of(session: string, generation: number): SessionMemory {
    const known = this.sessions.get(session)
    if (known?.generation === generation) return known
    const fresh = freshMemory(generation)
    this.sessions.set(session, fresh)
    return fresh
  }

  /** Resolves once everything remembered at the moment of the call is on disk. What is asked in one turn is one write. */
  save(): Promise<void> {
    this.next ??= this.writing
      .catch(() => {})
      .then(() => {
        this.next = null
        this.writing = this.write()
        return this.writing
      })
    return this.next
  }

  private async write(): Promise<void> {
    const wall = this.clock.wall() - this.clock.now()
    const sessions: string[] = []
    for (const [id, memory] of this.sessions) sessions.push(this.textOf(id, memory, wall))
    const text = `{"epoch":${this.epoch},"sessions":{${sessions.join(',')}}}`
    if (text === this.saved) return
    await this.store.save(text)
    this.saved = text
  }

  /** `wall`: how far the wall clock is ahead; it jitters by milliseconds, which are no news. */
  private textOf(id: string, memory: SessionMemory, wall: number): string {
    const known = this.texts.get(memory)
    if (known && Math.abs(known.wall - wall) < jitterMs && storesTheSame(known.of, memory)) return known.text
    const text = `${JSON.stringify(id)}:${JSON.stringify(storedMemory(memory, this.clock))}`
    this.texts.set(memory, { of: { ...memory }, wall, text })
    return text
  }
}

function readState(text: string): StoredState {
  try {
    return StoredState.parse(JSON.parse(text))
  } catch {
    throw new StateError('state.json of the agent cannot be understood; move it away to start afresh')
  }
}
