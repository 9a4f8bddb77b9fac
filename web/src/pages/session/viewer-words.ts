/** Who watches and who may type, in words. Pure. */
import type { Control, LiveEvent, Session, Viewer } from '../../api/contract.ts'
import { safeLine } from '../../format/safe-text.ts'

export function viewerName(viewer: Viewer, mine: string | null): string {
  if (viewer.id === mine) return 'You, in this window'
  return viewer.via === 'link' ? 'A guest' : safeLine(viewer.user)
}

export function viewerOrigin(viewer: Viewer): string {
  const how = viewer.via === 'link' ? `by a link of ${safeLine(viewer.user)}` : 'with a token'
  return viewer.address ? `${how}, from ${viewer.address}` : how
}

export interface ControlLine {
  words: string
  /** Somebody else types: the owner can take it back. */
  taken: boolean
}

/** Said over the screen; null while everybody who was let in to type may do so, which needs no words. */
export function controlLine(control: Control, mine: string | null, owner: boolean): ControlLine | null {
  if (control.mode === 'shared') return null
  if (control.viewer === null)
    return owner ? { words: 'Only you type', taken: false } : { words: 'Only its owner types now', taken: true }
  if (control.viewer === mine) return { words: 'You have control', taken: false }
  return { words: 'Somebody else has control', taken: true }
}

export const isOwner = (session: Pick<Session, 'user'>, user: string, admin: boolean) => admin || session.user === user

/** A guest of this session asked for control. */
export const isAsked = (event: LiveEvent, session: string) =>
  event.type === 'session.control_asked' && event.session_id === session
