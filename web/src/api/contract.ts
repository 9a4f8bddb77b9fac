/**
 * The API as the dashboard sees it: the types of the API's own schemas, and nothing of its code. A change of shape over there is a type
 * error here.
 */
import type { z } from 'zod'
import type { AuditRecord as ApiAuditRecord } from '../../../api/audit/routes.ts'
import type { Me as ApiMe } from '../../../api/auth/schema.ts'
import type { Cluster as ApiCluster, Enrollment as ApiEnrollment } from '../../../api/clusters/schema.ts'
import type { InspectCreate as ApiInspectCreate, Inspection as ApiInspection } from '../../../api/jobs/inspect.ts'
import type { Job as ApiJob, JobCreate as ApiJobCreate, JobWithAttempts as ApiJobWithAttempts } from '../../../api/jobs/schema.ts'
import type {
  Link as ApiLink,
  LinkCreate as ApiLinkCreate,
  LinkWithUrl as ApiLinkWithUrl,
  SharedSession as ApiSharedSession,
} from '../../../api/links/schema.ts'
import type { Pool as ApiPool, PoolCreate as ApiPoolCreate, PoolPatch as ApiPoolPatch } from '../../../api/pools/schema.ts'
import type {
  Project as ApiProject,
  ProjectCreate as ApiProjectCreate,
  ProjectPatch as ApiProjectPatch,
} from '../../../api/projects/schema.ts'
import type { Recording as ApiRecording } from '../../../api/recordings/routes.ts'
import type {
  Registry as ApiRegistry,
  RegistryCreate as ApiRegistryCreate,
  RegistryTest as ApiRegistryTest,
} from '../../../api/registries/schema.ts'
import type { Secret as ApiSecret, SecretCreate as ApiSecretCreate } from '../../../api/secrets/schema.ts'
import type { Session as ApiSession, SessionCreate } from '../../../api/sessions/schema.ts'
import type { Template as ApiTemplate } from '../../../api/templates/schema.ts'
import type { Terminal as ApiTerminal, TerminalCreate as ApiTerminalCreate } from '../../../api/terminals/schema.ts'
import type { Token as ApiToken, TokenCreate as ApiTokenCreate } from '../../../api/tokens/schema.ts'
import type { Upload as ApiUpload } from '../../../api/uploads/schema.ts'
import type {
  Control as ApiControl,
  ControlChange as ApiControlChange,
  Viewer as ApiViewer,
  ViewerList as ApiViewerList,
} from '../../../api/viewers/schema.ts'
import type { Volume as ApiVolume, VolumeCreate as ApiVolumeCreate } from '../../../api/volumes/schema.ts'
import type {
  Webhook as ApiWebhook,
  WebhookCreate as ApiWebhookCreate,
  WebhookPatch as ApiWebhookPatch,
  WebhookWithSecret as ApiWebhookWithSecret,
} from '../../../api/webhooks/schema.ts'

export type Session = ApiSession
export type SessionStatus = Session['status']
export type ClipboardPolicy = Session['clipboard']
export type CreateSession = SessionCreate
export type Recording = z.infer<typeof ApiRecording>
export type Display = NonNullable<Session['display']>
export type Template = ApiTemplate
export type Scheduling = ApiCluster['scheduling']
export type Enrollment = ApiEnrollment
export type Cluster = ApiCluster & { enrollment?: Enrollment | null }
export type Me = ApiMe
export type Scope = Me['scopes'][number]
/** `token`: the secret, only in the answer to create and rotate. */
export type TokenCreate = z.input<typeof ApiTokenCreate>
export type Token = ApiToken & { token?: string }

export type AuditRecord = ApiAuditRecord
export type Project = ApiProject
export type ProjectCreate = ApiProjectCreate
export type ProjectPatch = ApiProjectPatch

export type Link = z.infer<typeof ApiLink>
export type LinkCreate = z.input<typeof ApiLinkCreate>
export type LinkWithUrl = z.infer<typeof ApiLinkWithUrl>
/** All that a stranger with a link learns. */
export type SharedSession = z.infer<typeof ApiSharedSession>

export type Volume = ApiVolume
export type VolumeCreate = z.input<typeof ApiVolumeCreate>

export type Job = ApiJob
export type JobStatus = Job['status']
export type JobWithAttempts = ApiJobWithAttempts
export type JobCreate = z.input<typeof ApiJobCreate>

export type Inspection = z.infer<typeof ApiInspection>
export type Upload = ApiUpload
export type InspectCreate = z.input<typeof ApiInspectCreate>

export type Pool = ApiPool
export type PoolCreate = z.input<typeof ApiPoolCreate>
export type PoolPatch = ApiPoolPatch

/** Of logins and secrets, only the names come back. */
export type Registry = ApiRegistry
export type RegistryCreate = z.input<typeof ApiRegistryCreate>
export type RegistryTest = z.infer<typeof ApiRegistryTest>
export type Secret = ApiSecret
export type SecretCreate = z.input<typeof ApiSecretCreate>

export type Webhook = z.infer<typeof ApiWebhook>
export type WebhookCreate = z.input<typeof ApiWebhookCreate>
export type WebhookPatch = ApiWebhookPatch
export type WebhookWithSecret = z.infer<typeof ApiWebhookWithSecret>

/** Somebody who has a screen open. */
export type Viewer = z.infer<typeof ApiViewer>
export type Control = z.infer<typeof ApiControl>
export type ControlChange = ApiControlChange
export type ViewerList = z.infer<typeof ApiViewerList>
export type Terminal = ApiTerminal
export type TerminalCreate = z.input<typeof ApiTerminalCreate>

/** What is in a folder of a session: its host program tells (docker/host/HOST.md). */
export interface FileEntry {
  name: string
  type: 'file' | 'folder' | 'link' | 'other'
  size: number
  modified_at: string
}

export interface Ticket {
  ticket: string
  url: string
  /** Id that its stream will have among the viewers. */
  viewer: string
  expires_at: string
}

export interface List<T> {
  object: 'list'
  data: T[]
  has_more: boolean
  next_cursor: string | null
}

/** One event of `GET /v1/events`: beside these, the object it tells of under its own name. */
export interface LiveEvent {
  id: string
  object: 'event'
  type: string
  created_at: string
  session?: Session | null
  session_id?: string | null
  cluster?: Cluster | null
  cluster_id?: string | null
  job?: Job | null
  job_id?: string | null
  [more: string]: unknown
}

/** application/problem+json */
export interface Problem {
  type?: string
  title: string
  status: number
  detail?: string
  code?: string
  request_id?: string
  errors?: { pointer: string; detail: string }[]
}
