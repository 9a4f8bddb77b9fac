/** Addresses of the dashboard: the History API; which page an address means is in pages.tsx. */
import type { AnchorHTMLAttributes, MouseEvent, ReactNode } from 'react'
import { useApp } from './app-context.tsx'
import { createStore, type Store, useStore } from './live/observable.ts'

export interface Place {
  path: string
  search: string
}

export interface Router {
  place: Store<Place>
  go: (to: string, options?: { replace?: boolean }) => void
  start: (signal: AbortSignal) => void
}

export function createRouter(): Router {
  const read = (): Place => ({ path: location.pathname, search: location.search })
  const place = createStore(read())
  return {
    place,
    go(to, options) {
      if (options?.replace) history.replaceState(null, '', to)
      else history.pushState(null, '', to)
      const before = place.get().path
      place.set(read())
      if (place.get().path !== before) window.scrollTo(0, 0)
    },
    start(signal) {
      window.addEventListener('popstate', () => place.set(read()), { signal })
    },
  }
}

export function useSearch(): { get: (key: string) => string; set: (changes: Record<string, string>) => void } {
  const { router } = useApp()
  const search = useStore(router.place, place => place.search)
  return {
    get: key => new URLSearchParams(search).get(key) ?? '',
    set(changes) {
      const params = new URLSearchParams(router.place.get().search)
      for (const [key, value] of Object.entries(changes)) {
        if (value) params.set(key, value)
        else params.delete(key)
      }
      const text = params.toString()
      router.go(router.place.get().path + (text ? `?${text}` : ''), { replace: true })
    },
  }
}

export function Link({ to, children, ...rest }: { to: string; children: ReactNode } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  const { router } = useApp()
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    rest.onClick?.(event)
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    router.go(to)
  }
  return (
    <a {...rest} href={to} onClick={follow}>
      {children}
    </a>
  )
}
