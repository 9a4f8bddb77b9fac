/**
 * xterm, with what a hostile program could do through it taken away: no clipboard (OSC 52 neither writes nor is answered), no answers that carry text
 * (DECRQSS, colours, titles), links only to http and https and only after a question, no window title.
 */
import { FitAddon } from '@xterm/addon-fit'
import { SearchAddon } from '@xterm/addon-search'
import { type ITheme, Terminal } from '@xterm/xterm'
import { openUnderPolicy } from './strict-policy.ts'

export interface GuardedTerminal {
  terminal: Terminal
  fit: FitAddon
  search: SearchAddon
  open: (box: HTMLElement) => void
}

export function makeTerminal(
  look: { theme: ITheme; fontFamily: string; fontSize: number },
  openLink: (url: string) => void,
): GuardedTerminal {
  const terminal = new Terminal({
    ...look,
    scrollback: 5_000,
    cursorBlink: true,
    allowProposedApi: false,
    // Only what may be read of the window is on by default: nothing.
    windowOptions: {},
    linkHandler: { activate: (_event, text) => isWebAddress(text) && openLink(text), allowNonHttpProtocols: false },
  })
  const { parser } = terminal
  const ignored = () => true
  parser.registerOscHandler(52, ignored)
  for (const title of [0, 1, 2]) parser.registerOscHandler(title, ignored)
  // Colours may be set, not asked for.
  for (const colour of [4, 10, 11, 12]) parser.registerOscHandler(colour, data => data.includes('?'))
  parser.registerDcsHandler({ intermediates: '$', final: 'q' }, ignored)
  parser.registerDcsHandler({ intermediates: '+', final: 'q' }, ignored)
  const fit = new FitAddon()
  const search = new SearchAddon()
  terminal.loadAddon(fit)
  terminal.loadAddon(search)
  const open = (box: HTMLElement) => openUnderPolicy(document, () => terminal.open(box))
  return { terminal, fit, search, open }
}

export function isWebAddress(text: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(text).protocol)
  } catch {
    return false
  }
}

/** Several lines would run one after the other, unless the program asked for pastes to be marked as such. */
export function pasteWants(text: string, bracketed: boolean): 'paste' | 'question' {
  return !bracketed && /[\r\n]./s.test(text) ? 'question' : 'paste'
}
