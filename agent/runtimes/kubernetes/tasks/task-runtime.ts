/** Manifests and deploys as jobs: work that the agent does itself. Fills the JobRuntime port; records in the cluster carry it over the agent's death. */
import { z } from 'zod'
import type { Clock } from '#agent/clock.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { DeploySpec, ManifestSpec } from '#protocol/works-spec.ts'
import {
  type JobAttempt,
  type JobInstance,
  JobRefused,
  type JobRuntime,
  type LiveOutput,
  type LogPiece,
  type LogPosition,
} from '../../job-runtime.ts'
import { DialError, type LogOptions, type Shell, type ShellOrder } from '../../runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { deployTask } from './deploy-task.ts'
import { ofJob } from './manifest-labels.ts'
import { manifestTask, ofSelector, removeAll } from './manifest-task.ts'
import { PlaceObjects } from './place-objects.ts'
import { type ProjectPlace, placeFor } from './project-places.ts'
import { RunningTask } from './running-task.ts'
import { taskOutput } from './task-output.ts'
import { type KeptTask, TaskRecords, type TaskState } from './task-record.ts'
import { taskShell } from './task-shell.ts'

const TaskSpec = z.discriminatedUnion('type', [ManifestSpec, DeploySpec])
type TaskSpec = z.infer<typeof TaskSpec>

export interface TaskRuntimeParts {
  /** Of its own: what tasks ask of the API server must not hold back what sessions need. */
  client: KubeClient
  agentName: string
  places: readonly ProjectPlace[]
  clock: Clock
  log: Log
  capacity?: number
}

const requestMs = 30_000
const undoMs = 300_000

export class TaskRuntime implements JobRuntime {
  private readonly parts: TaskRuntimeParts
  private readonly tasks = new Map<string, RunningTask>()
  private readonly starting = new Map<string, Promise<void>>()
  private readonly wakes = new Set<() => void>()
  private readonly life = new AbortController()
  private opened: Promise<void> | null = null

  constructor(parts: TaskRuntimeParts) {
    this.parts = parts
  }

  /** Goes on with what an earlier life left; tried anew by whoever needs it, until it worked once. */
  private open(): Promise<void> {
    this.opened ??= this.adopt().catch(error => {
      this.opened = null
      throw error
    })
    return this.opened
  }

  private async adopt(): Promise<void> {
    const seen = new Set<string>()
    for (const place of this.parts.places) {
      if (seen.has(place.namespace)) continue
      seen.add(place.namespace)
      const records = this.recordsOf(place)
      for (const kept of await records.all(this.signalFor(requestMs))) await this.goOn(kept, records, place)
    }
  }

  private async goOn(kept: KeptTask, records: TaskRecords, place: ProjectPlace): Promise<void> {
    if (this.tasks.has(kept.name)) return
    const task = this.add(new RunningTask(kept, this.taskParts(records, place)))
    if (task.ended) return
    try {
      this.launch(task, TaskSpec.parse(await records.spec(kept.name, this.signalFor(requestMs))), kept.state.project)
    } catch (error) {
      this.parts.log.warn('task without spec', { task: kept.name, reason: whatFailed(error) })
      task.run(() => Promise.resolve({ outcome: 'failed', cause: 'lost', reason: 'what it was asked to do is lost' }))
    }
  }

  private recordsOf(place: ProjectPlace): TaskRecords {
    return new TaskRecords(this.parts.client, this.parts.agentName, place)
  }

  private taskParts(records: TaskRecords, place: ProjectPlace) {
    const { clock, log } = this.parts
    return { records, place, clock, log, changed: () => this.wake() }
  }

  private add(task: RunningTask): RunningTask {
    this.tasks.set(task.name, task)
    this.wake()
    return task
  }

  private wake(): void {
    for (const wake of [...this.wakes]) wake()
  }

  private launch(task: RunningTask, spec: TaskSpec, project: string): void {
    const place = placeFor(this.parts.places, project, spec.namespace)
    const objects = new PlaceObjects(this.parts.client, place)
    task.run(context => {
      const whole = { ...context, objects, agent: this.parts.agentName }
      return spec.type === 'manifest' ? manifestTask(spec, whole) : deployTask(spec, whole)
    })
  }

  async capabilities() {
    const { places, capacity = 10 } = this.parts
    return { types: places.length > 0 ? (['manifest', 'deploy'] as const).slice() : [], capacity }
  }

  async observe(): Promise<JobInstance[]> {
    await this.open()
    return [...this.tasks.values()].map(task => task.instance())
  }

  watch(wake: () => void): () => void {
    this.wakes.add(wake)
    return () => void this.wakes.delete(wake)
  }

  async start(attempt: JobAttempt): Promise<void> {
    await this.open()
    const { name } = attempt
    if (this.tasks.has(name)) return
    const begun = this.starting.get(name) ?? this.begin(attempt).finally(() => this.starting.delete(name))
    this.starting.set(name, begun)
    await begun
  }

  private async begin({ name, job, attempt, project, spec: asked, timeoutMs }: JobAttempt): Promise<void> {
    const parsed = TaskSpec.safeParse(asked)
    if (!parsed.success) throw new JobRefused('its specification cannot be read')
    const place = placeFor(this.parts.places, project, parsed.data.namespace)
    const records = this.recordsOf(place)
    const state: TaskState = {
      job,
      attempt,
      project,
      type: parsed.data.type,
      phase: 'running',
      startedAt: this.parts.clock.wall(),
      endedAt: null,
      timeoutMs,
      progress: null,
      resources: [],
      streams: [],
      result: null,
      memory: null,
    }
    const kept = await records.create(name, state, parsed.data, this.signalFor(requestMs))
    const task = this.add(new RunningTask(kept, this.taskParts(records, place)))
    if (!task.ended) this.launch(task, parsed.data, project)
  }

  async cancel(name: string, uid: string, _graceMs: number): Promise<void> {
    await this.open()
    this.find(name, uid)?.end('canceled')
  }

  async remove(name: string, uid: string): Promise<void> {
    await this.open()
    const task = this.find(name, uid)
    if (task && !task.ended) throw new Error(`${name} has not ended`)
    await task?.forget(this.signalFor(requestMs))
    if (task) this.tasks.delete(name)
    this.wake()
  }

  async undo(job: string): Promise<void> {
    const { places, client, agentName, clock } = this.parts
    for (const place of places) {
      const context = {
        objects: new PlaceObjects(client, place),
        clock,
        signal: this.signalFor(undoMs),
        log: () => {},
        resources: () => {},
      }
      await removeAll((await ofSelector(ofJob(agentName, job), context)).toReversed(), context)
    }
  }

  async *logs(name: string, uid: string, stream: string, from: LogPosition, signal: AbortSignal): AsyncGenerator<LogPiece> {
    const task = this.find(name, uid)
    if (!task) return
    if (stream === '') yield* task.logs(from.offset, signal)
    else yield* task.podLogs(this.parts.client, stream, from, AbortSignal.any([signal, this.life.signal]))
  }

  async exec(job: string, of: TerminalJob, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
    const { client, places, agentName: agent } = this.parts
    const objects = new PlaceObjects(client, placeToEnter(places, of))
    return await taskShell({ client, objects, agent }, job, of, order, signal)
  }

  async output(job: string, of: TerminalJob, options: LogOptions & { pod?: string }, signal: AbortSignal): Promise<LiveOutput> {
    const { client, places, agentName: agent, clock } = this.parts
    const objects = new PlaceObjects(client, placeToEnter(places, of))
    const wish = { ...options, signal: AbortSignal.any([options.signal, this.life.signal]) }
    return await taskOutput({ client, objects, agent, clock }, job, of, wish, signal)
  }

  private find(name: string, uid: string): RunningTask | undefined {
    const task = this.tasks.get(name)
    return task?.uid === uid ? task : undefined
  }

  /** Ends nothing for good: the next life goes on. */
  async close(): Promise<void> {
    for (const task of this.tasks.values()) task.end('agent_stopped')
    await Promise.allSettled([...this.tasks.values()].map(task => task.settled()))
    this.life.abort(new Error('the agent stops'))
    this.parts.client.close()
  }

  /** What kill -9 would do: nothing more is asked or kept by this life. */
  abandon(): void {
    this.life.abort(new Error('abandoned'))
    for (const task of this.tasks.values()) task.abandon()
  }

  private signalFor(ms: number): AbortSignal {
    return AbortSignal.any([this.life.signal, AbortSignal.timeout(ms)])
  }
}

function placeToEnter(places: readonly ProjectPlace[], { project, namespace }: TerminalJob): ProjectPlace {
  try {
    return placeFor(places, project, namespace)
  } catch (error) {
    throw new DialError(403, 'forbidden', (error as Error).message)
  }
}
