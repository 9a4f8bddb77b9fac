/**
 * Keys that mean something to the page although the session has the keyboard:
 * paste (the browser hands the text over by its own `paste` event, without asking for a permission), copy (the session's answer may then
 * go to the local clipboard), and Ctrl+Alt+Shift, which gives the keyboard back to the page.
 */
export interface StageKeys {
  /** Whether text may go in; when not, Ctrl+V is just a key. */
  mayPaste: () => boolean
  paste: (text: string) => void
  /** Ctrl+V without any text that the browser would hand over. */
  plainPaste: () => void
  release: () => void
}

const copyWindowMs = 3_000

export function watchStageKeys(stage: HTMLElement, keys: StageKeys, now: () => number = Date.now) {
  let awaiting: ReturnType<typeof setTimeout> | undefined
  let copiedAt = Number.NEGATIVE_INFINITY
  let releasing = false
  const stop = new AbortController()
  const options = { capture: true, signal: stop.signal }
  const overCanvas = (event: Event) => event.target instanceof HTMLCanvasElement

  stage.addEventListener(
    'keydown',
    event => {
      if (!overCanvas(event)) return
      const command = event.ctrlKey || event.metaKey
      const key = event.key.toLowerCase()
      if (command && !event.altKey && (key === 'c' || key === 'x')) copiedAt = now()
      if (command && !event.altKey && !event.shiftKey && key === 'v' && keys.mayPaste()) {
        // noVNC must not see it: it would prevent the browser's paste.
        event.stopImmediatePropagation()
        clearTimeout(awaiting)
        awaiting = setTimeout(keys.plainPaste, 150)
      }
      if (event.ctrlKey && event.altKey && event.shiftKey) releasing = true
    },
    options,
  )
  stage.addEventListener(
    'keyup',
    event => {
      // Only once every key is up: one left down here would stay down over there.
      if (!releasing || event.ctrlKey || event.altKey || event.shiftKey || event.metaKey) return
      releasing = false
      queueMicrotask(keys.release)
    },
    options,
  )
  document.addEventListener(
    'paste',
    event => {
      if (awaiting === undefined || !overCanvas(event)) return
      clearTimeout(awaiting)
      awaiting = undefined
      event.preventDefault()
      const text = event.clipboardData?.getData('text/plain') ?? ''
      if (text) keys.paste(text)
      else keys.plainPaste()
    },
    options,
  )

  return {
    /** The person copied in the session a moment ago: what comes out may go to their clipboard. Else a page could overwrite it unasked. */
    copiedJustNow: () => now() - copiedAt < copyWindowMs,
    stop() {
      clearTimeout(awaiting)
      stop.abort()
    },
  }
}
