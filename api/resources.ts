/** Every room of the API, in the order they are mounted. */
import { mountAgents } from './agents/routes.ts'
import { mountAudit } from './audit/routes.ts'
import { mountAuth } from './auth/routes.ts'
import type { Authenticator } from './auth.ts'
import { mountClusters } from './clusters/routes.ts'
import { mountDocs } from './docs/routes.ts'
import { mountEvents } from './events/routes.ts'
import { mountInspect } from './jobs/inspect.ts'
import { mountJobLogs } from './jobs/logs/routes.ts'
import { mountJobs } from './jobs/routes.ts'
import { mountLinks } from './links/routes.ts'
import type { Platform } from './platform.ts'
import { mountPools } from './pools/routes.ts'
import { mountProjects } from './projects/routes.ts'
import { mountRecordings } from './recordings/routes.ts'
import { mountRegistries } from './registries/routes.ts'
import type { Router } from './route.ts'
import { mountSecretScanning } from './secret-scanning/routes.ts'
import { mountSecrets } from './secrets/routes.ts'
import { mountSessions } from './sessions/routes.ts'
import type { RequestMeter } from './status/request-meter.ts'
import { mountStatus } from './status/routes.ts'
import { mountStreams } from './streams/routes.ts'
import { mountTemplates } from './templates/routes.ts'
import { mountTerminals } from './terminals/routes.ts'
import { mountTokens } from './tokens/routes.ts'
import { mountUploads } from './uploads/routes.ts'
import { mountViewers } from './viewers/routes.ts'
import { mountVolumes } from './volumes/routes.ts'
import { mountWebhooks } from './webhooks/routes.ts'

export interface Wiring {
  platform: Platform
  auth: Authenticator
  meter: RequestMeter
}
export type Mount = (app: Router, wiring: Wiring) => void

export const resources: readonly Mount[] = [
  mountStatus,
  mountAuth,
  mountAgents,
  mountProjects,
  mountTokens,
  mountSecretScanning,
  mountClusters,
  mountTemplates,
  mountSessions,
  mountStreams,
  mountRecordings,
  mountViewers,
  mountEvents,
  mountLinks,
  mountVolumes,
  mountTerminals,
  mountJobs,
  mountInspect,
  mountJobLogs,
  mountSecrets,
  mountUploads,
  mountPools,
  mountRegistries,
  mountWebhooks,
  mountAudit,
  mountDocs,
]
