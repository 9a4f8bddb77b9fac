/** What every page may use. Made once in main.tsx and handed down; nothing here is a module-level singleton. */
import { createContext, type ReactNode, useContext } from 'react'
import type { Api } from './api/client.ts'
import type { Me, Scope } from './api/contract.ts'
import type { Live } from './live/live.ts'
import type { Store } from './live/observable.ts'
import type { PictureQueue } from './live/picture-queue.ts'
import type { ServerClock } from './live/server-clock.ts'
import type { Router } from './router.tsx'
import type { Toasts } from './shell/toasts.tsx'

export type Account = { phase: 'asking' } | { phase: 'out'; ended: boolean } | { phase: 'in'; me: Me } | { phase: 'unreachable' }

export interface AppParts {
  api: Api
  live: Live
  clock: ServerClock
  router: Router
  toasts: Toasts
  pictures: PictureQueue
  account: Store<Account>
}

const Context = createContext<AppParts | null>(null)

export function AppProvider({ parts, children }: { parts: AppParts; children: ReactNode }) {
  return <Context value={parts}>{children}</Context>
}

export function useApp(): AppParts {
  const parts = useContext(Context)
  if (!parts) throw new Error('outside of AppProvider')
  return parts
}

/** `admin` implies every other scope. */
export function allows(me: Me, scope: Scope): boolean {
  return me.scopes.includes(scope) || me.scopes.includes('admin')
}
