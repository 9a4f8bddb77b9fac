/** The form of a webhook as data, and the request it becomes: a build as any other, of whatever commit was pushed. Pure. */
import type { Webhook, WebhookCreate } from '../../api/contract.ts'
import { shortRepository } from '../../format/repository.ts'
import { emptyWorks, type WorksDraft, workRequest } from '../jobs/works-draft.ts'

export type Provider = Webhook['provider']

export interface HookDraft {
  provider: Provider
  name: string
  branches: string
  /** What the git server signs with; empty: Porthole makes one. */
  secret: string
  works: WorksDraft
  deploys: boolean
}

export const emptyHook: HookDraft = {
  provider: 'github',
  name: '',
  branches: 'main',
  secret: '',
  works: emptyWorks,
  deploys: false,
}

export interface HookRequest {
  body: WebhookCreate
  /** By API field; those of the build and the deploy by their own names. */
  faults: Map<string, string>
}

export function hookRequest(draft: HookDraft): HookRequest {
  const { works } = draft
  const build = workRequest('build', { ...works, name: '', ref: '' }, false)
  const deploy = workRequest('deploy', { ...works, name: '' }, false)
  const faults = new Map([...build.faults, ...(draft.deploys ? deploy.faults : [])])
  const branches = draft.branches.replaceAll(/\s+/g, '')
  if (!branches) faults.set('branches', 'Name a branch, or ** for all.')
  if (draft.deploys && !works.image.trim()) faults.set('image', 'What is deployed has to be pushed somewhere first.')
  if (draft.secret && draft.secret.length < 16) faults.set('secret', 'At least 16 characters.')
  const { type: _build, ...built } = build.body
  const { type: _deploy, ...deployed } = deploy.body
  const body = {
    provider: draft.provider,
    branches,
    ...(draft.name.trim() ? { name: draft.name.trim() } : {}),
    ...(draft.secret ? { secret: draft.secret } : {}),
    build: built,
    ...(draft.deploys ? { deploy: deployed } : {}),
  } as WebhookCreate
  return { body, faults }
}

/** The API's faults of `build` and `deploy`, by the names that their fields have in the form. */
export function formFaults(faults: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...faults].map(([field, words]) => [field.replace(/^(build|deploy)\./, ''), words]))
}

/** Fields of the API whose faults are shown in the form. */
export const hookFields = [
  'name',
  'branches',
  'secret',
  ...['git', 'dockerfile', 'target', 'image', 'tags', 'build_args', 'cluster'].map(field => `build.${field}`),
  ...['mappings', 'namespace'].map(field => `deploy.${field}`),
]

/** Which repository it builds, as people name it. */
export function repositoryOf(build: Webhook['build']): string {
  const git = build.git
  const url = typeof git === 'object' && git !== null && 'url' in git ? String(git.url) : ''
  return shortRepository(url)
}

export const providerWords: Record<Provider, { label: string; steps: readonly string[] }> = {
  github: {
    label: 'GitHub',
    steps: [
      'In the repository: Settings, Webhooks, Add webhook.',
      'Payload URL and Secret as below, Content type application/json.',
      'Just the push event.',
    ],
  },
  gitlab: {
    label: 'GitLab',
    steps: [
      'In the project: Settings, Webhooks, Add new webhook.',
      'URL and Secret token as below.',
      'Trigger: Push events. Leave SSL verification on.',
    ],
  },
}
