/** Composition root: everything is made here and handed down. */
import '@fontsource-variable/geist/wght.css'
import '@fontsource-variable/geist-mono/wght.css'
import './styles/foundation.css'
import './styles/controls.css'
import './styles/contents.css'
import './styles/porthole.css'
import './styles/dialogs.css'
import './styles/tables.css'
import './styles/shell.css'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/api-error.ts'
import { createApi } from './api/client.ts'
import { App, joinPath } from './app.tsx'
import type { Account, AppParts } from './app-context.tsx'
import { createLive } from './live/live.ts'
import { createStore } from './live/observable.ts'
import { createPictureQueue } from './live/picture-queue.ts'
import { createServerClock } from './live/server-clock.ts'
import { createRouter } from './router.tsx'
import { createTheme } from './shell/theme.ts'
import { createToasts } from './shell/toasts.tsx'

const account = createStore<Account>({ phase: 'asking' })
const clock = createServerClock()
const sendFetch: typeof fetch = (input, init) => fetch(input, init)

function onSignedOut() {
  account.update(current => (current.phase === 'out' ? current : { phase: 'out', ended: current.phase === 'in' }))
}

const parts: AppParts = {
  api: createApi({ fetch: sendFetch, onSignedOut, onServerTime: clock.heard }),
  live: createLive({ fetch: sendFetch, onSignedOut }),
  clock,
  router: createRouter(),
  toasts: createToasts(),
  pictures: createPictureQueue(3),
  account,
}

let asking: ReturnType<typeof setTimeout> | undefined
async function askWho(): Promise<void> {
  clearTimeout(asking)
  try {
    account.set({ phase: 'in', me: await parts.api.me() })
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return
    account.set({ phase: 'unreachable' })
    asking = setTimeout(() => void askWho(), 3_000)
  }
}

const page = new AbortController()
parts.router.start(page.signal)
clock.start(page.signal)
const theme = createTheme(document.documentElement)
if (location.pathname !== joinPath) void askWho()

const root = document.getElementById('root')
if (root) createRoot(root).render(<App parts={parts} theme={theme} askWho={askWho} />)
