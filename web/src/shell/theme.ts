/** Dark, light, or as the system says. The choice is kept in this browser only. */
import { createStore, type Store } from '../live/observable.ts'

export type Theme = 'system' | 'light' | 'dark'

const key = 'porthole.theme'

export function createTheme(root: HTMLElement): { chosen: Store<Theme>; choose: (theme: Theme) => void } {
  const chosen = createStore<Theme>(read())
  apply(chosen.get())
  function apply(theme: Theme) {
    if (theme === 'system') delete root.dataset.theme
    else root.dataset.theme = theme
  }
  return {
    chosen,
    choose(theme) {
      apply(theme)
      chosen.set(theme)
      remember(key, theme)
    },
  }
}

function read(): Theme {
  const kept = recall(key)
  return kept === 'light' || kept === 'dark' ? kept : 'system'
}

/** Storage may be forbidden by the browser's settings: then the choice lasts as long as the page. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value)
  } catch {
    // See recall.
  }
}
