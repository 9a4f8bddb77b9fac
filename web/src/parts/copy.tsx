import { useEffect, useState } from 'react'
import { Icon } from './icons.tsx'

/** Says "Copied" for a moment, aloud too. */
export function CopyButton({
  text,
  label = 'Copy',
  small = false,
  first = false,
}: {
  text: string
  label?: string
  small?: boolean
  first?: boolean
}) {
  const [said, setSaid] = useState<'' | 'Copied' | 'Not copied'>('')
  useEffect(() => {
    if (!said) return
    const timer = setTimeout(() => setSaid(''), 1_800)
    return () => clearTimeout(timer)
  }, [said])
  return (
    <button
      type="button"
      className="copy"
      data-first={first || undefined}
      data-size={small ? 'small' : 'normal'}
      data-done={said === 'Copied' || undefined}
      aria-label={small ? label : undefined}
      onClick={async event => {
        const here = event.currentTarget
        setSaid((await copyText(text, here)) ? 'Copied' : 'Not copied')
      }}
    >
      <Icon name={said === 'Copied' ? 'check' : 'copy'} size={16} />
      {!small && <span>{said || label}</span>}
      <span className="unseen" role="status">
        {said}
      </span>
    </button>
  )
}

/** A value on one line that scrolls inside itself, with its button. */
export function CopyField({ label, value, secret = false }: { label: string; value: string; secret?: boolean }) {
  return (
    <div className="copy-field">
      <span className="copy-field-label">{label}</span>
      <div className="copy-field-box">
        <input
          className="mono"
          readOnly
          value={value}
          aria-label={label}
          spellCheck={false}
          autoComplete="off"
          data-secret={secret || undefined}
          onFocus={event => event.currentTarget.select()}
        />
        <CopyButton text={value} label={`Copy ${label}`} small first={secret} />
      </div>
    </div>
  )
}

export function CodeBlock({ code, label }: { code: string; label: string }) {
  return (
    <section className="code" aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
      <pre tabIndex={0}>
        <code>{code}</code>
      </pre>
      <CopyButton text={code} />
    </section>
  )
}

/** False where the page may not write the clipboard. */
export async function copyText(text: string, here: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelection(text, here)
  }
}

/** Pages without TLS have no clipboard of their own. What is selected has to be beside the button: a dialog lets nothing outside it be. */
function copySelection(text: string, here: HTMLElement): boolean {
  const before = document.activeElement
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'unseen'
  here.after(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  if (before instanceof HTMLElement) before.focus()
  return done
}
