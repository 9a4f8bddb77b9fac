/** A field that makes a phone show its keyboard; what is typed into it goes to the session and not into the field. */
import type RFB from '@novnc/novnc'
import { useEffect, useRef } from 'react'
import { keysym, keysymsOf } from '../../screen/keysyms.ts'

const named: Record<string, number> = {
  Backspace: keysym.backspace,
  Enter: keysym.enter,
  Tab: keysym.tab,
  Escape: keysym.escape,
  ArrowLeft: keysym.left,
  ArrowUp: keysym.up,
  ArrowRight: keysym.right,
  ArrowDown: keysym.down,
}
/** Phones report no key for Backspace on an empty field: there is always something to delete. */
const filler = '\u00a0\u00a0'

export function SoftKeyboard({ rfb, onClose }: { rfb: () => RFB | null; onClose: () => void }) {
  const field = useRef<HTMLTextAreaElement>(null)
  useEffect(() => field.current?.focus(), [])
  return (
    <textarea
      ref={field}
      className="soft-keyboard"
      aria-label="Type into the session"
      defaultValue={filler}
      autoCapitalize="off"
      autoComplete="off"
      autoCorrect="off"
      spellCheck={false}
      onBlur={onClose}
      onKeyDown={event => {
        const key = named[event.key]
        if (key === undefined) return
        event.preventDefault()
        rfb()?.sendKey(key, null)
      }}
      onInput={event => {
        const box = event.currentTarget
        if (box.value.length < filler.length) rfb()?.sendKey(keysym.backspace, null)
        else for (const key of keysymsOf(box.value.slice(filler.length))) rfb()?.sendKey(key, null)
        box.value = filler
      }}
    />
  )
}
