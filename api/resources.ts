/** Every room of the API, in the order they are mounted. */
import type { Authenticator } from './auth.ts'
import { mountEvents } from './events/routes.ts'
import type { Platform } from './platform.ts'
import type { Router } from './route.ts'
import { mountSessions } from './sessions/routes.ts'
import { mountStreams } from './streams/routes.ts'
import { mountTemplates } from './templates/routes.ts'

export interface Wiring {
  platform: Platform
  auth: Authenticator
}
export type Mount = (app: Router, wiring: Wiring) => void

export const resources: readonly Mount[] = [mountTemplates, mountSessions, mountStreams, mountEvents]
