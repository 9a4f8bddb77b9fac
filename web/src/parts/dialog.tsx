/** Modal dialogs on the platform's own <dialog>: focus is kept inside and given back, Escape closes. */
import { type ReactNode, useId, useLayoutEffect, useRef, useState } from 'react'
import { Button, IconButton } from './button.tsx'

interface DialogProps {
  title: string
  children: ReactNode
  onClose: () => void
  wide?: boolean
  /** A press beside the dialog closes it; not where something would be lost. */
  light?: boolean
}

export function Dialog({ title, children, onClose, wide = false, light = true }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null)
  const heading = useId()
  // Layout effect: its clean-up runs while the dialog is still on the page, so that closing can give the focus back.
  useLayoutEffect(() => {
    const dialog = box.current
    if (!dialog || dialog.open) return
    dialog.showModal()
    // showModal would choose the close button.
    const first =
      dialog.querySelector<HTMLElement>('[data-first]') ??
      dialog.querySelector<HTMLElement>('.dialog-body :is(input, select, textarea)')
    first?.focus()
    return () => dialog.close()
  }, [])
  return (
    <dialog
      ref={box}
      className="dialog"
      data-wide={wide || undefined}
      aria-labelledby={heading}
      onCancel={event => {
        event.preventDefault()
        onClose()
      }}
      onMouseDown={event => {
        if (light && event.target === box.current) onClose()
      }}
    >
      <div className="dialog-frame">
        <header className="dialog-head">
          <h2 id={heading}>{title}</h2>
          <IconButton label="Close" icon="close" tip="none" onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  )
}

interface ConfirmProps {
  title: string
  children: ReactNode
  verb: string
  danger?: boolean
  onConfirm: () => Promise<void> | void
  onClose: () => void
}

export function ConfirmDialog({ title, children, verb, danger = true, onConfirm, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false)
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="dialog-body prose">{children}</div>
      <footer className="dialog-foot">
        <Button data-first={danger || undefined} onClick={onClose}>
          Cancel
        </Button>
        <Button
          kind={danger ? 'danger' : 'primary'}
          busy={busy}
          data-first={!danger || undefined}
          onClick={async () => {
            setBusy(true)
            await onConfirm()
            onClose()
          }}
        >
          {verb}
        </Button>
      </footer>
    </Dialog>
  )
}
