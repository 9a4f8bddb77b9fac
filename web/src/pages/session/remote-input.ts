/** Sends text and key strokes to a live screen, other than what is typed on it. */
import type RFB from '@novnc/novnc'
import { keysym, keysymsOf } from '../../screen/keysyms.ts'

export function pressTogether(rfb: RFB, keys: readonly number[]): void {
  for (const key of keys) rfb.sendKey(key, null, true)
  for (const key of [...keys].reverse()) rfb.sendKey(key, null, false)
}

/** The session's clipboard first, then its own paste key. */
export function pasteInto(rfb: RFB, text: string): void {
  rfb.clipboardPasteFrom(text)
  pressTogether(rfb, [keysym.control, 0x76])
}

/** Key by key, in small portions, so that a long text neither floods the session nor blocks the page. */
export async function typeInto(rfb: () => RFB | null, text: string, signal: AbortSignal): Promise<boolean> {
  const keys = keysymsOf(text)
  for (let at = 0; at < keys.length; at += 40) {
    const live = rfb()
    if (!live || signal.aborted) return false
    for (const key of keys.slice(at, at + 40)) live.sendKey(key, null)
    await new Promise(resolve => setTimeout(resolve, 15))
  }
  return true
}
