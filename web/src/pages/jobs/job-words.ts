/** How a job is spoken of. One place, total over every status and cause. */
import type { Job, JobStatus } from '../../api/contract.ts'
import { ordinal } from '../../format/quantity.ts'
import { shortRepository } from '../../format/repository.ts'
import { safeLine, safeText } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'
import { lap } from '../../format/time.ts'

interface Word {
  word: string
  tone: Tone
  moving: boolean
  live: boolean
}

const words: Record<JobStatus, Word> = {
  queued: { word: 'Queued', tone: 'wait', moving: true, live: true },
  running: { word: 'Running', tone: 'wait', moving: true, live: true },
  succeeded: { word: 'Succeeded', tone: 'good', moving: false, live: false },
  failed: { word: 'Failed', tone: 'bad', moving: false, live: false },
  canceled: { word: 'Canceled', tone: 'quiet', moving: false, live: false },
}

export function jobWord(job: Pick<Job, 'status' | 'canceling'>): Word {
  if (job.canceling && words[job.status]?.live) return { word: 'Ending', tone: 'warn', moving: true, live: true }
  return words[job.status] ?? { word: job.status, tone: 'quiet', moving: false, live: true }
}

const types: Record<string, string> = { run: 'Run', build: 'Build', deploy: 'Deploy', manifest: 'Manifest' }
export const typeWord = (type: string) => types[type] ?? type

export function jobTitle(job: Pick<Job, 'name' | 'id' | 'type' | 'spec'>): string {
  const named = job.name && safeLine(job.name)
  if (named) return named
  const { command, source } = job.spec
  if (source && typeof source === 'object' && 'url' in source && typeof source.url === 'string')
    return 'upload' in source && source.upload ? 'Files that were sent' : short(safeLine(shortRepository(source.url)))
  const first = Array.isArray(command) ? (command[0] === '/bin/sh' ? command[2] : command.join(' ')) : job.spec.image
  return typeof first === 'string' && first ? short(safeLine(first)) : job.id
}

const longestTitle = 80
const short = (text: string) => (text.length > longestTitle ? `${text.slice(0, longestTitle - 1)}…` : text)

/** What was asked for, without what was not, and with a command as it was written. */
export function askedFor(spec: Job['spec']): string {
  const { command, ...rest } = spec
  const said = Object.entries(rest).filter(([, value]) => !isNothing(value))
  const line = Array.isArray(command)
    ? command[0] === '/bin/sh' && command[1] === '-c'
      ? command[2]
      : command.join(' ')
    : command
  const facts = said.length > 0 ? JSON.stringify(Object.fromEntries(said), null, 2) : ''
  return safeText([typeof line === 'string' ? line : '', facts].filter(Boolean).join('\n\n'))
}

function isNothing(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false) return true
  return typeof value === 'object' && Object.values(value).every(isNothing)
}

const causes: Record<string, string> = {
  signal: 'It was killed by a signal.',
  deadline: 'It took longer than it may.',
  canceled: 'Canceled on request.',
  out_of_memory: 'It needed more memory than its limit.',
  start: 'It could not be started.',
  refused: 'The cluster’s own policy refused it.',
  lost: 'It vanished: nobody knows how it went.',
  agent_stopped: 'Its agent was stopped.',
}

/** One line on where it stands, or how it ended. */
export function jobLine(job: Job): string {
  if (job.status === 'queued') {
    const place = job.queue && job.queue.position > 0 ? `${ordinal(job.queue.position)} in line.` : ''
    return [place, safeLine(job.queue?.reason ?? job.status_reason ?? '')].filter(Boolean).join(' ')
  }
  const reason = safeLine(job.status_reason ?? '')
  if (job.status === 'running') return job.progress?.step ? safeLine(job.progress.step) : reason
  if (job.status === 'succeeded') return ''
  if (reason) return reason
  return (job.cause && causes[job.cause]) || (job.exit_code !== null ? `It ended with code ${job.exit_code}.` : '')
}

export function tookWords(job: Pick<Job, 'duration_seconds'>): string {
  return job.duration_seconds === null ? '' : lap(job.duration_seconds * 1000)
}

export type JobAction = 'cancel' | 'retry' | 'delete'

export function jobActions(job: Pick<Job, 'status' | 'canceling'>): readonly JobAction[] {
  if (jobWord(job).live) return job.canceling ? ['delete'] : ['cancel', 'delete']
  return ['retry', 'delete']
}

export type JobGroup = 'active' | 'ended' | 'all'

export function matches(job: Job, filter: { group: JobGroup; type: string; cluster: string; text: string }): boolean {
  if (filter.group !== 'all' && jobWord(job).live !== (filter.group === 'active')) return false
  if (filter.type && job.type !== filter.type) return false
  if (filter.cluster && job.cluster !== filter.cluster) return false
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`)
  const hay = [jobTitle(job), job.id, job.user, ...labels].join('\n').toLowerCase()
  return filter.text
    .toLowerCase()
    .split(/\s+/)
    .every(word => hay.includes(word))
}
