/** The terminal's colours by day and by night. Sixteen that stay readable on their ground. */
import type { ITheme } from '@xterm/xterm'

const night: ITheme = {
  background: '#0d1519',
  foreground: '#dbe4e8',
  cursor: '#7cc7e2',
  cursorAccent: '#0d1519',
  selectionBackground: '#2b5163',
  black: '#27343a',
  red: '#f08a83',
  green: '#79c99a',
  yellow: '#e2bb6c',
  blue: '#7fb4ea',
  magenta: '#c99ae0',
  cyan: '#6fc8cf',
  white: '#c9d4d9',
  brightBlack: '#7d8f97',
  brightRed: '#ffa9a2',
  brightGreen: '#97e2b6',
  brightYellow: '#f5d28c',
  brightBlue: '#a3cdf8',
  brightMagenta: '#dfb9f1',
  brightCyan: '#94e1e6',
  brightWhite: '#f4f8fa',
}

const day: ITheme = {
  background: '#ffffff',
  foreground: '#1d2a30',
  cursor: '#1f6d92',
  cursorAccent: '#ffffff',
  selectionBackground: '#c4dfec',
  black: '#1d2a30',
  red: '#b3261e',
  green: '#1b7444',
  yellow: '#865a00',
  blue: '#1d5fa8',
  magenta: '#8a3ba5',
  cyan: '#0b6f78',
  white: '#5a6a71',
  brightBlack: '#6b7b82',
  brightRed: '#c93a31',
  brightGreen: '#238552',
  brightYellow: '#976700',
  brightBlue: '#2b71bf',
  brightMagenta: '#9c4cb8',
  brightCyan: '#178089',
  brightWhite: '#3c4a50',
}

export function themeNow(root: HTMLElement = document.documentElement): ITheme {
  return getComputedStyle(root).colorScheme.includes('dark') ? night : day
}

/** Told when day turns to night, by the system or by the person. */
export function watchTheme(changed: (theme: ITheme) => void, root: HTMLElement = document.documentElement): () => void {
  const look = () => changed(themeNow(root))
  const system = matchMedia('(prefers-color-scheme: dark)')
  const chosen = new MutationObserver(look)
  system.addEventListener('change', look)
  chosen.observe(root, { attributes: true, attributeFilter: ['data-theme'] })
  return () => {
    system.removeEventListener('change', look)
    chosen.disconnect()
  }
}
