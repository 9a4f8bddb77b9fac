/**
 * The port between the agent and whatever runs jobs; a Runtime that has one carries it as `jobs`. It knows nothing of the API: it makes
 * attempts, shows them, ends them, and gives their output by offset. The rules that make a job end once, with the right result:
 *
 * - An attempt is everything named `job-<id>-a<attempt>` (`attemptName`). The name is the lock: making it twice is making it once, also across
 *   lives of the agent and with two agents at once. Its existence, not anybody's memory, says that it was begun.
 * - It must not depend on the agent's life: `observe` of the next life shows it as it is now (adopted), its end and exit code included, until
 *   `remove`. What cannot outlive the agent says so by ending as `failed`/`lost`, never by silently running again.
 * - It ends by itself at its deadline, also while no agent lives.
 */
import type { JobCause, JobOutcome, JobProgress, JobResource, JobSpec, JobType } from '#protocol/job-spec.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { DialError, type LogOptions, type Shell, type ShellOrder } from './runtime.ts'

/** Everything that is needed to make one attempt. */
export interface JobAttempt {
  /** `attemptName(job, attempt)`. */
  name: string
  job: string
  attempt: number
  project: string
  user: string
  labels: Record<string, string>
  spec: JobSpec
  /** Values of the secrets that `spec` names. Must not appear in listings, logs or process arguments. */
  secrets: Record<string, string>
  /** Longest life, counted from the moment it runs (or is made, where that cannot be told apart). */
  timeoutMs: number
  graceMs: number
}

/** One made attempt as it is now. */
export interface JobInstance {
  job: string
  attempt: number
  type: JobType
  name: string
  /** Tells this making from another one of the same name; `cancel` and `remove` are by uid. */
  uid: string
  phase: 'starting' | 'running' | 'stopping' | 'ended'
  /** Set when `ended`. A runtime says `canceled` only after `cancel`. */
  outcome?: JobOutcome
  cause?: JobCause
  exitCode: number | null
  /** A sentence for people: why it ended so, or what it waits for. */
  reason?: string
  /** Epoch milliseconds of the agent's wall clock. */
  startedAt: number | null
  endedAt: number | null
  progress: JobProgress | null
  resources: JobResource[]
  result: Record<string, unknown> | null
  /** It waits for what it is built from: `deliver` brings it. */
  awaitsContext?: boolean
  /** Its streams of output: `''` is its own; `pod/container` for what it made. All exist from the first moment they may have output. */
  streams: string[]
}

/** What a build is made from, a tar.gz from its beginning; how long it must be is in the attempt's spec. */
export type BuildContext = (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>

/** Where somebody has read a stream up to. */
export interface LogPosition {
  offset: number
  /** What the last piece said of itself; null: none did. */
  mark: string | null
}

/** The next bytes of a stream, or a hole in it. Pieces follow each other without overlap: each begins where the one before ended. */
export type LogPiece =
  | { offset: number; data: Uint8Array; mark?: string }
  /** So many bytes are lost for ever; `unknownGap` of the protocol (1) when nobody knows: the next piece begins behind it all the same. */
  | { offset: number; gap: number; mark?: string }

/** What one container writes now. `streams` are all that could be read so; each is named `pod/container`. */
export interface LiveOutput {
  stream: string
  streams: string[]
  /** At its reader's pace; ends with the container, or with what is there. */
  output: AsyncIterable<Uint8Array>
}

export interface JobRuntime {
  /** Types it takes here, and how many attempts at one time. */
  capabilities(): Promise<{ types: JobType[]; capacity: number }>
  /** Every attempt there is, ended ones included, also what an earlier life of the agent began. Rejects when it cannot be known. */
  observe(): Promise<JobInstance[]>
  /** `wake` is called when `observe()` would say something new. Returns the end of the subscription. */
  watch(wake: () => void): () => void
  /**
   * Makes the attempt; resolves once it exists for good (would be found by `observe` after a kill -9), not once it runs. A name that exists is a
   * no-op, also an ended one. Rejects with a sentence for people when it can never be made (`JobRefused`), else it is tried again.
   */
  start(attempt: JobAttempt): Promise<void>
  /** Ends exactly this uid, polite signal first, its whole process tree; resolves once it is told (`observe` shows `stopping`, then `ended`). */
  cancel(name: string, uid: string, graceMs: number): Promise<void>
  /** Lets go of everything kept for an ended attempt (pod, files, output), and keeps what it made. No-op when it is gone. */
  remove(name: string, uid: string): Promise<void>
  /** Gives an attempt that `awaitsContext` what it waits for; resolves once it has all of it. Twice is once. */
  deliver?(name: string, uid: string, context: BuildContext, signal: AbortSignal): Promise<void>
  /** Removes what the job's attempts made (a manifest's objects): exactly that, and nothing when there is nothing. Resolves when it is gone. */
  undo?(job: string, spec: JobSpec | undefined): Promise<void>
  /**
   * A stream's bytes from there on; waits for more while the attempt runs, returns when it has ended and all was read. What is no longer kept is
   * a gap. Must be cheap in memory: nothing is read ahead of the consumer beyond a few pieces of at most 64 KiB.
   */
  logs(name: string, uid: string, stream: string, from: LogPosition, signal: AbortSignal): AsyncIterable<LogPiece>
  /** A shell inside what runs because of the job (feature word `exec_jobs`). Rejects with DialError when there can be none. */
  exec?(job: string, of: TerminalJob, order: ShellOrder, signal: AbortSignal): Promise<Shell>
  /**
   * What a pod writes that runs because of the job, also when the job is over (feature word `logs_jobs`); without `pod` the newest. `signal` ends the
   * looking for it, that of the options the output. Rejects with DialError when there is none.
   */
  output?(job: string, of: TerminalJob, options: LogOptions & { pod?: string }, signal: AbortSignal): Promise<LiveOutput>
  /** The agent ends in good order: ends what cannot go on without an agent. */
  close(): Promise<void>
}

/** An attempt that can never be made here, whoever tries: it fails with this message. */
export class JobRefused extends Error {
  override readonly name = 'JobRefused'
}

/** Several executors as one runtime: each type belongs to the first that takes it. */
export function joinJobRuntimes(parts: readonly JobRuntime[]): JobRuntime {
  const holder = async (name: string, uid: string): Promise<JobRuntime | undefined> => {
    for (const part of parts) if ((await part.observe()).some(each => each.name === name && each.uid === uid)) return part
    return undefined
  }
  const takerOf = async (type: JobType): Promise<JobRuntime | undefined> => {
    for (const part of parts) if ((await part.capabilities()).types.includes(type)) return part
    return undefined
  }
  return {
    async capabilities() {
      const all = await Promise.all(parts.map(part => part.capabilities()))
      return {
        types: [...new Set(all.flatMap(each => each.types))],
        capacity: all.reduce((most, each) => Math.max(most, each.capacity), 0),
      }
    },
    observe: async () => (await Promise.all(parts.map(part => part.observe()))).flat(),
    watch(wake) {
      const ends = parts.map(part => part.watch(wake))
      return () => {
        for (const end of ends) end()
      }
    },
    async start(attempt) {
      const part = await takerOf(attempt.spec.type)
      if (!part) throw new JobRefused(`this cluster runs no jobs of type ${attempt.spec.type}`)
      await part.start(attempt)
    },
    cancel: async (name, uid, graceMs) => (await holder(name, uid))?.cancel(name, uid, graceMs),
    remove: async (name, uid) => (await holder(name, uid))?.remove(name, uid),
    deliver: async (name, uid, context, signal) => (await holder(name, uid))?.deliver?.(name, uid, context, signal),
    async undo(job, spec) {
      if (spec) await (await takerOf(spec.type))?.undo?.(job, spec)
    },
    async *logs(name, uid, stream, from, signal) {
      const part = await holder(name, uid)
      if (part) yield* part.logs(name, uid, stream, from, signal)
    },
    async exec(job, of, order, signal) {
      const part = await takerOf(of.type)
      if (!part?.exec) throw new DialError(501, 'unsupported', `this cluster has no terminals in jobs of type ${of.type}`)
      return await part.exec(job, of, order, signal)
    },
    async output(job, of, options, signal) {
      const part = await takerOf(of.type)
      if (!part?.output) throw new DialError(501, 'unsupported', `this cluster has no live output of jobs of type ${of.type}`)
      return await part.output(job, of, options, signal)
    },
    close: async () => {
      await Promise.all(parts.map(part => part.close()))
    },
  }
}
