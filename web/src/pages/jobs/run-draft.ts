/** The form of a `run` job as data, and the request it becomes. Pure. */
import type { JobCreate } from '../../api/contract.ts'

export interface RunDraft {
  name: string
  image: string
  /** A line (or several) for the shell. */
  command: string
  env: string
  secrets: string
  cpu: string
  memory: string
  cluster: string
  /** Minutes. */
  timeout: string
  attempts: string
}

export const emptyRun: RunDraft = {
  name: '',
  image: '',
  command: '',
  env: '',
  secrets: '',
  cpu: '',
  memory: '',
  cluster: '',
  timeout: '',
  attempts: '1',
}

export function runRequest(draft: RunDraft): { body: JobCreate; faults: Map<string, string> } {
  const faults = new Map<string, string>()
  const text = (key: keyof RunDraft) => draft[key].trim()
  if (!text('image') && !text('command')) faults.set('command', 'Say what to run: a command, an image, or both.')
  const env = pairs(draft.env, 'env', faults)
  const secretEnv = pairs(draft.secrets, 'secret_env', faults)
  const resources = { ...(text('cpu') ? { cpu: text('cpu') } : {}), ...(text('memory') ? { memory: text('memory') } : {}) }
  const minutes = text('timeout') === '' ? null : Number(text('timeout'))
  if (minutes !== null && !(minutes > 0 && minutes <= 10_080)) faults.set('timeout_seconds', 'Minutes, at most 7 days of them.')
  const body: JobCreate = {
    type: 'run',
    ...(text('name') ? { name: text('name') } : {}),
    ...(text('image') ? { image: text('image') } : {}),
    ...(text('command') ? { command: text('command') } : {}),
    ...(Object.keys(env).length > 0 ? { env } : {}),
    ...(Object.keys(secretEnv).length > 0 ? { secret_env: secretEnv } : {}),
    ...(Object.keys(resources).length > 0 ? { resources } : {}),
    ...(text('cluster') ? { cluster: text('cluster') } : {}),
    ...(minutes !== null ? { timeout_seconds: Math.round(minutes * 60) } : {}),
    ...(text('attempts') !== '1' ? { max_attempts: Number(text('attempts')) } : {}),
  }
  return { body, faults }
}

/** `NAME=value`, one a line. */
function pairs(text: string, field: string, faults: Map<string, string>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      faults.set(field, `"${line.trim().slice(0, 40)}" is not of the form NAME=value.`)
    else found[name] = value
  }
  return found
}
