/** A terminal on the page: xterm, its connection, and the words over it while it has none. */
import '@xterm/xterm/css/xterm.css'
import '../styles/terminal.css'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import { useApp } from '../app-context.tsx'
import { Button, IconButton } from '../parts/button.tsx'
import { copyText } from '../parts/copy.tsx'
import { ConfirmDialog } from '../parts/dialog.tsx'
import { type GuardedTerminal, makeTerminal, pasteWants } from './guarded-terminal.ts'
import { connectTerminal, type TerminalConnection, type TerminalState } from './terminal-connection.ts'
import { themeNow, watchTheme } from './terminal-theme.ts'

interface TerminalViewProps {
  id: string
  label: string
  onEnded?: () => void
}

type Question = { kind: 'paste'; text: string } | { kind: 'link'; url: string }

const encoder = new TextEncoder()

export function TerminalView({ id, label, onEnded }: TerminalViewProps) {
  const { api, toasts } = useApp()
  const place = useRef<HTMLDivElement>(null)
  const parts = useRef<(GuardedTerminal & { connection: TerminalConnection }) | null>(null)
  const copySelection = async () => {
    const text = parts.current?.terminal.getSelection() ?? ''
    if (!text || !place.current) return
    toasts.say((await copyText(text, place.current)) ? 'Copied' : 'The browser does not allow copying here')
  }
  const latest = useRef({ onEnded, copySelection })
  latest.current = { onEnded, copySelection }
  const [state, setState] = useState<TerminalState>({ phase: 'connecting', attempt: 1 })
  const [question, setQuestion] = useState<Question | null>(null)
  const [searching, setSearching] = useState(false)
  const [selected, setSelected] = useState(false)

  useEffect(() => {
    const box = place.current
    if (!box) return
    const look = { theme: themeNow(), fontFamily: '"Geist Mono Variable", ui-monospace, Menlo, monospace', fontSize: 13 }
    const made = makeTerminal(look, url => setQuestion({ kind: 'link', url }))
    const { terminal, fit } = made
    made.open(box)
    terminal.textarea?.setAttribute('aria-label', label)
    fit.fit()
    let replaying = 0
    const connection = connectTerminal({
      sink: {
        write(bytes, replay, done) {
          if (replay) replaying++
          terminal.write(bytes, () => {
            if (replay) replaying--
            done()
          })
        },
        gap(bytes) {
          // Whatever sequence was cut must not swallow what follows.
          terminal.write(`\x18\x1b[0m\r\n\x1b[2m[ ${bytes.toLocaleString('en')} bytes were dropped here ]\x1b[0m\r\n`)
        },
        reset: () => terminal.reset(),
        size: () => ({ cols: terminal.cols, rows: terminal.rows }),
        resized() {},
      },
      ticket: () => api.terminalTicket(id),
      openSocket: (url, protocols) => new WebSocket(url, protocols),
      onState(next) {
        setState(next)
        if (next.phase === 'ended' && next.final) latest.current.onEnded?.()
        terminal.options.disableStdin = next.phase !== 'live'
      },
    })
    parts.current = { ...made, connection }
    const typed = (data: string) => {
      // Answers to what was there before are nobody's; a key pressed in these milliseconds is not worth the risk.
      if (replaying === 0) connection.type(encoder.encode(data))
    }
    const subscriptions = [
      terminal.onData(typed),
      terminal.onBinary(data => connection.type(Uint8Array.from(data, character => character.charCodeAt(0)))),
      terminal.onResize(({ cols, rows }) => connection.resize(cols, rows)),
      terminal.onSelectionChange(() => setSelected(terminal.hasSelection())),
    ]
    terminal.attachCustomKeyEventHandler(event => {
      if (event.type !== 'keydown' || !event.ctrlKey || !event.shiftKey) return true
      if (event.code === 'KeyC') {
        event.preventDefault()
        void latest.current.copySelection()
        return false
      }
      if (event.code === 'KeyF') {
        event.preventDefault()
        setSearching(true)
        return false
      }
      // Left to the browser, which pastes.
      return event.code !== 'KeyV'
    })
    const pasted = (event: ClipboardEvent) => {
      const text = event.clipboardData?.getData('text/plain') ?? ''
      if (pasteWants(text, terminal.modes.bracketedPasteMode) === 'paste') return
      event.preventDefault()
      event.stopPropagation()
      setQuestion({ kind: 'paste', text })
    }
    box.addEventListener('paste', pasted, { capture: true })
    let frame = 0
    const sized = new ResizeObserver(() => {
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(() => box.clientHeight > 0 && fit.fit())
    })
    sized.observe(box)
    // The font may come later than the first measure.
    void document.fonts.ready.then(() => parts.current?.terminal === terminal && fit.fit())
    const themes = watchTheme(theme => {
      terminal.options.theme = theme
    })
    const wake = () => document.visibilityState === 'visible' && connection.hurry()
    window.addEventListener('online', wake)
    document.addEventListener('visibilitychange', wake)
    terminal.focus()
    return () => {
      window.removeEventListener('online', wake)
      document.removeEventListener('visibilitychange', wake)
      box.removeEventListener('paste', pasted, { capture: true })
      cancelAnimationFrame(frame)
      sized.disconnect()
      themes()
      for (const subscription of subscriptions) subscription.dispose()
      connection.stop()
      parts.current = null
      terminal.dispose()
    }
  }, [id, label, api])

  async function pasteText() {
    try {
      const text = await navigator.clipboard.readText()
      const { terminal } = parts.current!
      if (pasteWants(text, terminal.modes.bracketedPasteMode) === 'question') setQuestion({ kind: 'paste', text })
      else terminal.paste(text)
      terminal.focus()
    } catch {
      toasts.say('The browser does not allow pasting by button: press Ctrl+Shift+V', { tone: 'bad' })
    }
  }
  function press(text: string) {
    parts.current?.connection.type(encoder.encode(text))
    parts.current?.terminal.focus()
  }
  function find(event: KeyboardEvent<HTMLInputElement>) {
    const { search, terminal } = parts.current!
    const text = event.currentTarget.value
    if (event.key === 'Escape') {
      setSearching(false)
      search.clearDecorations()
      terminal.focus()
    } else if (event.key === 'Enter') {
      event.preventDefault()
      if (event.shiftKey) search.findNext(text)
      else search.findPrevious(text)
    }
  }

  return (
    <div className="tty" data-phase={state.phase}>
      <div className="tty-tools">
        <span className="tty-state" role="status">
          <StateWords state={state} />
        </span>
        {(state.phase === 'waiting' || (state.phase === 'ended' && !state.final)) && (
          <Button size="small" onClick={() => parts.current?.connection.retry()}>
            Now
          </Button>
        )}
        <span className="filters-rest" />
        {searching ? (
          <input
            className="input tty-search"
            // biome-ignore lint/a11y/noAutofocus: it was asked for a moment ago
            autoFocus
            aria-label="Search in the output"
            placeholder="Search, Enter: upwards"
            onKeyDown={find}
            onBlur={event => event.currentTarget.value === '' && setSearching(false)}
          />
        ) : (
          <IconButton icon="search" label="Search" onClick={() => setSearching(true)} />
        )}
        <IconButton icon="copy" label="Copy the selection" disabled={!selected} onClick={() => void copySelection()} />
        <IconButton icon="paste" label="Paste" disabled={state.phase !== 'live'} onClick={() => void pasteText()} />
      </div>
      <div className="tty-place" ref={place} />
      <div className="tty-keys" role="toolbar" aria-label="Keys a phone lacks">
        {(
          [
            ['Esc', '\x1b'],
            ['Tab', '\t'],
            ['Ctrl C', '\x03'],
            ['Ctrl D', '\x04'],
            ['↑', '\x1b[A'],
            ['↓', '\x1b[B'],
            ['←', '\x1b[D'],
            ['→', '\x1b[C'],
          ] as const
        ).map(([name, text]) => (
          <button key={name} type="button" onClick={() => press(text)}>
            {name}
          </button>
        ))}
      </div>
      {question?.kind === 'paste' && (
        <ConfirmDialog
          title="Paste several lines?"
          verb="Paste"
          onClose={() => setQuestion(null)}
          onConfirm={async () => parts.current?.terminal.paste(question.text)}
        >
          <p>Each line is run as soon as it is pasted.</p>
          <pre className="tty-preview">{question.text.slice(0, 2_000)}</pre>
        </ConfirmDialog>
      )}
      {question?.kind === 'link' && (
        <ConfirmDialog
          title="Open this address?"
          verb="Open"
          onClose={() => setQuestion(null)}
          onConfirm={async () => void window.open(question.url, '_blank', 'noopener,noreferrer')}
        >
          <p>A program in the terminal made this link. It leads to:</p>
          <pre className="tty-preview">{question.url.slice(0, 2_000)}</pre>
        </ConfirmDialog>
      )}
    </div>
  )
}

function StateWords({ state }: { state: TerminalState }) {
  if (state.phase === 'live') return null
  if (state.phase === 'connecting') return state.attempt > 1 ? 'Connecting again…' : 'Connecting…'
  if (state.phase === 'waiting') return `${state.words} The shell lives on; connecting again soon.`
  return state.phase === 'ended' ? state.words : null
}
