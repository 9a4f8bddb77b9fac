/** Text between your clipboard and the session's, within what the session's policy allows. */
import { useEffect, useRef, useState } from 'react'
import type { ClipboardPolicy } from '../../api/contract.ts'
import { Button, IconButton } from '../../parts/button.tsx'
import { CopyButton } from '../../parts/copy.tsx'

interface ClipboardPanelProps {
  policy: ClipboardPolicy
  viewOnly: boolean
  fromSession: string
  onPaste: (text: string) => void
  onType: (text: string) => Promise<void>
  onClose: () => void
}

export function ClipboardPanel({ policy, viewOnly, fromSession, onPaste, onType, onClose }: ClipboardPanelProps) {
  const [text, setText] = useState('')
  const [typing, setTyping] = useState(false)
  const box = useRef<HTMLTextAreaElement>(null)
  const mayIn = policy === 'in' || policy === 'both'
  const mayOut = policy === 'out' || policy === 'both'
  useEffect(() => box.current?.focus(), [])
  return (
    <section
      className="clip"
      aria-label="Clipboard"
      onKeyDown={event => {
        if (event.key === 'Escape') onClose()
      }}
    >
      <header className="clip-head">
        <h3>Clipboard</h3>
        <IconButton label="Close" icon="close" tip="none" onClick={onClose} />
      </header>
      <label className="clip-label" htmlFor="clip-in">
        To the session
      </label>
      <textarea
        id="clip-in"
        ref={box}
        className="input"
        rows={4}
        value={text}
        disabled={viewOnly}
        placeholder="Paste or write here"
        spellCheck={false}
        onChange={event => setText(event.currentTarget.value)}
      />
      <div className="clip-actions">
        <Button kind="primary" size="small" icon="paste" disabled={!text || !mayIn || viewOnly} onClick={() => onPaste(text)}>
          Paste
        </Button>
        <Button
          size="small"
          icon="keyboard"
          busy={typing}
          disabled={!text || viewOnly}
          onClick={async () => {
            setTyping(true)
            await onType(text)
            setTyping(false)
          }}
        >
          Type it
        </Button>
      </div>
      <p className="field-note">
        {viewOnly
          ? 'You are only watching.'
          : mayIn
            ? 'On the screen itself, Ctrl+V pastes as usual. “Type it” presses the keys one by one.'
            : 'This session takes nothing from your clipboard. “Type it” still presses the keys.'}
      </p>
      {mayOut ? (
        <>
          <span className="clip-label">From the session</span>
          {fromSession ? (
            <div className="clip-out">
              <pre>{fromSession}</pre>
              <CopyButton text={fromSession} />
            </div>
          ) : (
            <p className="field-note">What is copied in the session appears here.</p>
          )}
        </>
      ) : (
        <p className="field-note">This session lets nothing out by the clipboard.</p>
      )}
    </section>
  )
}
