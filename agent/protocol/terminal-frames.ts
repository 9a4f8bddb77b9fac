/**
 * Frames of a terminal's stream, end to end between viewer and agent. Binary messages are the terminal's bytes; text messages are the JSON below.
 * A viewer that cannot send binary (`frames: "json"`) gets bytes as `output` and may send them as `input`, as UTF-8.
 *
 * Output has offsets: `connected` says where the first byte stands, each byte moves it by one, a `gap` by as many as were dropped. Who comes back
 * with `?offset=` goes on exactly there, as long as the scroll-back reaches that far.
 */
import { z } from 'zod'
import { jobTypes } from './job-spec.ts'

/** What an agent keeps of a terminal's output. */
export const terminalScrollback = 256 * 1024

export const terminalSize = { cols: { min: 2, max: 1000, default: 80 }, rows: { min: 1, max: 500, default: 24 } } as const

const cells = z.number()
export const FromTerminalViewer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('input'), data: z.string() }),
  /** Out of range is clamped; the newest of many wins. */
  z.object({ type: z.literal('resize'), cols: cells, rows: cells }),
  /** End of input, as Ctrl-D. */
  z.object({ type: z.literal('eof') }),
  z.object({ type: z.literal('ping') }),
])
export type FromTerminalViewer = z.infer<typeof FromTerminalViewer>

export type ToTerminalViewer =
  /** First of all. Up to `live` it is what was there before: answers to its questions must not be sent. */
  | { type: 'connected'; terminal: string; offset: number; live: number; cols: number; rows: number }
  /** Only with `frames: "json"`. */
  | { type: 'output'; offset: number; data: string }
  /** So many bytes were dropped at `offset`: the viewer was too slow, or too long away. */
  | { type: 'gap'; offset: number; bytes: number }
  /** Another viewer changed it. */
  | { type: 'resized'; cols: number; rows: number }
  /** Last of all; `exit_code` null: it did not end by itself. */
  | { type: 'exit'; exit_code: number | null; reason: string }
  /** A frame that was not understood; the stream goes on. */
  | { type: 'error'; detail: string }
  | { type: 'pong' }

/** Of a terminal in a job, or its live output; the stream has the job's id in place of a session's: what the agent finds its pods by. */
export const TerminalJob = z.object({
  type: z.enum(jobTypes),
  attempt: z.int().positive(),
  project: z.string(),
  /** `manifest`, `deploy`: as in their specs. */
  namespace: z.string().optional(),
  set: z.string().optional(),
  services: z.array(z.string()).optional(),
})
export type TerminalJob = z.infer<typeof TerminalJob>

/** What the agent should make, the first time a terminal is opened. */
export const TerminalStart = z.object({
  /** Name or path of a program; absent: the best shell there is. */
  shell: z.string().max(256).optional(),
  pod: z.string().max(253).optional(),
  container: z.string().max(63).optional(),
  job: TerminalJob.optional(),
  cols: z.int(),
  rows: z.int(),
  /** Ended after so long without a key pressed or output that somebody saw. */
  idle_timeout_ms: z.int().positive(),
})
export type TerminalStart = z.infer<typeof TerminalStart>

export const TerminalTarget = z.object({
  id: z.string(),
  /** Absent: it has run before, so an agent that does not know it must not make another one in its place. */
  start: TerminalStart.optional(),
  frames: z.enum(['binary', 'json']),
  /** Where the viewer wants to go on; absent: from the oldest that is kept. */
  offset: z.number().nonnegative().optional(),
})
export type TerminalTarget = z.infer<typeof TerminalTarget>

/** One terminal in a report: every one that runs, and those that ended lately. */
export const ObservedTerminal = z.object({
  id: z.string(),
  state: z.enum(['running', 'ended']),
  exit_code: z.int().nullable(),
  /** A word for programs (`exited`, `idle`, `requested`, `session_ended`, `lost`) and a sentence for people. */
  cause: z.string(),
  reason: z.string().nullable(),
  cols: z.int(),
  rows: z.int(),
  viewers: z.int().nonnegative(),
  output_bytes: z.number().nonnegative(),
  idle_ms: z.number().nonnegative(),
})
export type ObservedTerminal = z.infer<typeof ObservedTerminal>
