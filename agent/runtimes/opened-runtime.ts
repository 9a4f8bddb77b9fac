/** What a runtime's own `open…` gives the composition root: the runtime, and where this agent keeps its key and memory. */
import type { TextStore } from '../sessions/state-file.ts'
import type { Runtime } from './runtime.ts'

export interface OpenedRuntime {
  runtime: Runtime
  keyStore: TextStore
  stateStore: TextStore
  /** Aborts when another agent may have taken over: this one must stop at once. null: nothing watches over that here. */
  lost: AbortSignal | null
  close(): Promise<void>
}
