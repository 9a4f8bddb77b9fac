/** One attempt of a task: its state, its output, and the work while it goes on. Everything that others see was kept first. */
import type { Clock } from '#agent/clock.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import type { JobInstance, LogPiece, LogPosition } from '../../job-runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { mostStreams, podStream } from './pod-streams.ts'
import type { ProjectPlace } from './project-places.ts'
import { Ended, type TaskContext, type TaskEnd, TaskFailed } from './task.ts'
import type { KeptTask, TaskRecords, TaskState } from './task-record.ts'

/** A ConfigMap holds 1 MiB. */
const mostLog = 448 * 1024
const pieceBytes = 64 * 1024
const saveMs = 700

export interface RunningTaskParts {
  records: TaskRecords
  place: ProjectPlace
  clock: Clock
  log: Log
  changed(): void
}

export class RunningTask {
  readonly name: string
  readonly uid: string
  private state: TaskState
  private output: string
  private kept: Buffer
  private full = false
  private abandoned = false
  private readonly parts: RunningTaskParts
  private readonly stop = new AbortController()
  /** Its work is done: pods that go on are not waited for. */
  private readonly over = new AbortController()
  private readonly waiting = new Set<() => void>()
  private cancelSave: (() => void) | null = null
  private saving: Promise<void> = Promise.resolve()
  private work: Promise<void> = Promise.resolve()

  constructor(kept: KeptTask, parts: RunningTaskParts) {
    this.name = kept.name
    this.uid = kept.uid
    this.state = kept.state
    this.output = kept.log
    this.kept = Buffer.from(kept.log)
    this.parts = parts
    if (this.ended) this.over.abort()
  }

  get ended(): boolean {
    return this.state.phase === 'ended'
  }
  get job(): string {
    return this.state.job
  }

  /** Begins, or goes on after an earlier life. */
  run(task: (context: Omit<TaskContext, 'objects' | 'agent'>) => Promise<TaskEnd>): void {
    const { clock } = this.parts
    const left = this.state.startedAt + this.state.timeoutMs - clock.wall()
    const cancelDeadline = clock.after(Math.max(0, left), () => this.end('deadline'))
    if (this.state.phase === 'stopping') this.end('canceled')
    this.work = this.perform(task).finally(cancelDeadline)
  }

  private async perform(task: (context: Omit<TaskContext, 'objects' | 'agent'>) => Promise<TaskEnd>): Promise<void> {
    const { signal } = this.stop
    let end: TaskEnd
    try {
      end = await task({
        job: this.state.job,
        project: this.state.project,
        clock: this.parts.clock,
        signal,
        log: line => this.write(line),
        progress: (percent, step) => this.update({ progress: { percent, step: step.slice(0, 300) } }),
        resources: resources => this.update({ resources: resources.slice(0, 500) }),
        streams: all => this.addStreams(all),
        remember: async memory => {
          this.state = { ...this.state, memory }
          await this.save()
        },
        remembered: this.state.memory ?? null,
      })
    } catch (error) {
      const told = error instanceof Ended ? error : signal.aborted ? (signal.reason as Ended) : null
      if (told?.cause_ === 'agent_stopped') return await this.save().catch(() => {})
      end = told ? endedBy(told) : failure(error)
      if (!told && !(error instanceof TaskFailed))
        this.parts.log.warn('task failed', { task: this.name, reason: whatFailed(error) })
    }
    if (end.reason) this.write(`${end.outcome}: ${end.reason}`)
    const { outcome, cause, reason, result } = end
    this.state = {
      ...this.state,
      phase: 'ended',
      outcome,
      cause,
      ...(reason !== undefined && { reason: reason.slice(0, 2000) }),
      result: result ?? null,
      endedAt: this.parts.clock.wall(),
    }
    this.over.abort()
    await this.save().catch(error => this.parts.log.warn('task not kept', { task: this.name, reason: whatFailed(error) }))
  }

  end(cause: Ended['cause_']): void {
    if (this.ended || this.stop.signal.aborted) return
    if (cause !== 'agent_stopped') this.update({ phase: 'stopping' })
    this.stop.abort(new Ended(cause))
  }

  abandon(): void {
    this.abandoned = true
    this.stop.abort(new Ended('agent_stopped'))
  }

  async settled(): Promise<void> {
    await this.work
    this.cancelSave?.()
    await this.saving.catch(() => {})
  }

  /** Its record goes, and with it all that says it ever was. */
  async forget(signal: AbortSignal): Promise<void> {
    await this.settled()
    await this.parts.records.remove(this.name, this.uid, signal)
  }

  private write(line: string): void {
    if (this.full) return
    this.output += line.endsWith('\n') ? line : `${line}\n`
    if (this.output.length > mostLog) {
      this.full = true
      this.output += '… the rest is not kept\n'
    }
    this.saveSoon()
  }

  private addStreams(all: string[]): void {
    const streams = [...new Set([...this.state.streams, ...all])]
    if (streams.length === this.state.streams.length || this.state.streams.length === mostStreams) return
    if (streams.length > mostStreams) this.write(`the output of ${mostStreams} containers is kept, not that of more`)
    this.update({ streams: streams.slice(0, mostStreams) })
  }

  private update(change: Partial<TaskState>): void {
    this.state = { ...this.state, ...change }
    this.parts.changed()
    this.saveSoon()
  }

  private saveSoon(): void {
    this.cancelSave ??= this.parts.clock.after(saveMs, () => {
      this.save().catch(error => this.parts.log.warn('task not kept', { task: this.name, reason: whatFailed(error) }))
    })
  }

  /** One after the other; what was said meanwhile goes with the next. */
  private save(): Promise<void> {
    this.cancelSave?.()
    this.cancelSave = null
    const saved = this.saving
      .catch(() => {})
      .then(async () => {
        if (this.abandoned) return
        const bytes = Buffer.from(this.output)
        const grew = bytes.length > this.kept.length
        // The end must be kept although all was told to stop.
        await this.parts.records.save(this.name, this.state, grew ? this.output : null, AbortSignal.timeout(70_000))
        this.kept = bytes
        this.parts.changed()
        for (const wake of [...this.waiting]) wake()
      })
    this.saving = saved
    return saved
  }

  instance(): JobInstance {
    const { job, attempt, type, phase, outcome, cause, reason, startedAt, endedAt, progress, resources, streams, result } =
      this.state
    return {
      job,
      attempt,
      type,
      name: this.name,
      uid: this.uid,
      phase,
      ...(outcome && { outcome }),
      ...(cause && { cause }),
      ...(reason && { reason }),
      exitCode: null,
      startedAt,
      endedAt,
      progress,
      resources,
      result,
      streams: ['', ...streams],
    }
  }

  /** Of a container of its pods; `client` asks with the project's rights. */
  async *podLogs(client: KubeClient, stream: string, from: LogPosition, signal: AbortSignal): AsyncGenerator<LogPiece> {
    if (!this.state.streams.includes(stream)) return
    const { clock, place } = this.parts
    yield* podStream({ client, clock, place, over: this.over.signal, signal }, stream, from)
  }

  async *logs(from: number, signal: AbortSignal): AsyncGenerator<LogPiece> {
    let offset = Math.min(from, this.kept.length)
    for (;;) {
      while (offset < this.kept.length) {
        const data = this.kept.subarray(offset, offset + pieceBytes)
        yield { offset, data }
        offset += data.length
      }
      if (this.ended || signal.aborted) {
        await this.saving.catch(() => {})
        if (offset >= this.kept.length || signal.aborted) return
        continue
      }
      await this.news(signal)
    }
  }

  private news(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        this.waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.waiting.add(done)
      signal.addEventListener('abort', done)
    })
  }
}

function endedBy({ cause_ }: Ended): TaskEnd {
  if (cause_ === 'canceled') return { outcome: 'canceled', cause: 'canceled', reason: 'canceled; what was already applied stays' }
  return { outcome: 'failed', cause: 'deadline', reason: 'its time was over; what was already applied stays' }
}

function failure(error: unknown): TaskEnd {
  const reason = error instanceof Error ? error.message : String(error)
  return {
    outcome: 'failed',
    cause: 'exit',
    reason,
    ...(error instanceof TaskFailed && error.result && { result: error.result }),
  }
}
