/**
 * One attempt on disk, which is all that the agent and the attempt's supervisor know of each other: either may be killed at any moment and the
 * other goes on. `attempt.json`: what it is. `owner.json`: made once, exclusively, by the supervisor that has it: from then on it was begun.
 * `state.json`: how it goes, replaced as a whole. `end.json`: the order to end it. `log/`: its output. `home/`, `place/`: what it runs in;
 * `build/`, `context/`: what a build does.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { jobCauses, jobTypes } from '#protocol/job-spec.ts'
import { birthOf } from '../runtime-folder.ts'
import { contextInside } from './build-walls.ts'

const Facts = z.object({ job: z.string(), attempt: z.int(), type: z.enum(jobTypes), contextBytes: z.int().optional() })
export type JobFacts = z.infer<typeof Facts>

const Owner = z.object({ uid: z.string(), pid: z.int(), born: z.string().nullable() })
export type JobOwner = z.infer<typeof Owner>

const State = z.object({
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  /** Set with `endedAt`. */
  exitCode: z.int().nullable(),
  cause: z.enum(jobCauses).nullable(),
  reason: z.string().nullable(),
})
export type JobState = z.infer<typeof State>

const EndOrder = z.object({ graceMs: z.number(), cause: z.enum(['canceled', 'agent_stopped']) })
export type EndOrder = z.infer<typeof EndOrder>

export class JobFolder {
  readonly path: string
  constructor(path: string) {
    this.path = path
  }

  get log(): string {
    return join(this.path, 'log')
  }
  get home(): string {
    return join(this.path, 'home')
  }
  get place(): string {
    return join(this.path, 'place')
  }
  /** Home of a build: `home` is then only the user number it has for itself. */
  get build(): string {
    return join(this.path, 'build')
  }
  /** What was sent to be built, once it is whole. */
  get context(): string {
    return join(this.path, 'context', basename(contextInside))
  }

  /** It must be brought, and so long it is; null: not (any more). */
  awaitsContext(): { bytes: number } | null {
    const { contextBytes } = this.factsNow() ?? {}
    return contextBytes === undefined || existsSync(this.context) ? null : { bytes: contextBytes }
  }

  private factsNow(): JobFacts | null {
    try {
      return Facts.parse(JSON.parse(readFileSync(join(this.path, 'attempt.json'), 'utf8')))
    } catch {
      return null
    }
  }

  async make(facts: JobFacts): Promise<void> {
    await mkdir(this.log, { recursive: true, mode: 0o700 })
    await this.put('attempt.json', facts)
  }

  facts = () => this.read('attempt.json', Facts)
  state = () => this.read('state.json', State)
  owner = () => this.read('owner.json', Owner)

  /** False: another supervisor has it. */
  own(owner: JobOwner): boolean {
    try {
      const file = openSync(join(this.path, 'owner.json'), 'wx', 0o600)
      writeSync(file, JSON.stringify(owner))
      closeSync(file)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  }

  /** Synchronous: the supervisor's last word must be on disk before it goes. */
  putState(state: JobState): void {
    const draft = join(this.path, '.state.json')
    const file = openSync(draft, 'w', 0o600)
    writeSync(file, JSON.stringify(state))
    closeSync(file)
    renameSync(draft, join(this.path, 'state.json'))
  }

  orderEnd(order: EndOrder): Promise<void> {
    return this.put('end.json', order)
  }

  endOrder(): EndOrder | null {
    try {
      return EndOrder.parse(JSON.parse(readFileSync(join(this.path, 'end.json'), 'utf8')))
    } catch {
      return null
    }
  }

  private async put(name: string, value: unknown): Promise<void> {
    const draft = join(this.path, `.${name}`)
    await writeFile(draft, JSON.stringify(value), { mode: 0o600 })
    await rename(draft, join(this.path, name))
  }

  private async read<S extends z.ZodType>(name: string, schema: S): Promise<z.infer<S> | null> {
    const text = await readFile(join(this.path, name), 'utf8').catch(() => null)
    if (text === null) return null
    try {
      return schema.parse(JSON.parse(text))
    } catch {
      return null
    }
  }
}

export const isAlive = ({ pid, born }: Pick<JobOwner, 'pid' | 'born'>) => born !== null && birthOf(pid) === born
