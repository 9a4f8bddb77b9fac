/**
 * What a viewer may do to a screen. The agent ends the RFB handshake with the viewer itself (no password: authentication was ours), then looks at
 * every client-to-server message. `view`: nothing that acts. `control`: everything but power commands, with sizes clamped and the
 * clipboard as the session allows it.
 *
 * Clipboard towards the viewer, without parsing the server's stream: announce the *extended* clipboard in the viewer's name with a
 * maximum unsolicited size of 0. The server then sends only a notice that there is something, and the request that would fetch it
 * is dropped here.
 */

import { WireError } from '#protocol/close-codes.ts'
import type { ByteFilter } from '../relay.ts'
import { clientType, clipboardCap, MessageCutter } from './client-messages.ts'
import { HeldInput } from './held-input.ts'
import { canBeToldApart, PlainViewerGuard } from './plain-viewer.ts'

export interface ViewerRights {
  /** False: watching only. */
  control: boolean
  clipboard: { in: boolean; out: boolean }
  maxDisplay: { width: number; height: number }
}

const version = Buffer.from('RFB 003.008\n', 'latin1')
const minDisplay = { width: 320, height: 240 }

export const encoding = { qemuKey: -258, xvp: -309, extendedMouse: -316, extendedClipboard: 0xc0a1e5ce | 0 } as const
/** Extended clipboard: what a message does, in the top byte of its flags. */
const clipboardDoes = { caps: 1 << 24, request: 1 << 25, peek: 1 << 26, notify: 1 << 27, provide: 1 << 28 } as const
/** Caps: text only, all actions, nothing unsolicited. */
export const silentCaps = Buffer.from('06000000fffffff81f00000100000000', 'hex')

export class ViewerFilter implements ByteFilter {
  private stage: 'version' | 'security' | 'init' | 'messages' = 'version'
  private early = Buffer.alloc(0)
  private out: Buffer[] = []
  /** Only while the clipboard must stay in; null: the server's bytes are nobody's business. */
  private guard: PlainViewerGuard | null
  private readonly cutter = new MessageCutter(message => this.judge(message))
  private rights: ViewerRights
  private readonly hands = new HeldInput()
  /** The viewer's own words, said again when it gets more rights. */
  private wish: Buffer | null = null
  private caps: Buffer | null = null
  private readonly say: (bytes: Buffer) => void
  private readonly active: () => void

  /** `say` sends handshake bytes to the viewer; `active` is called for each key or pointer message that goes through. */
  constructor(rights: ViewerRights, say: (bytes: Buffer) => void, active: () => void) {
    this.rights = rights
    this.say = say
    this.active = active
    this.guard = rights.clipboard.out ? null : new PlainViewerGuard()
  }

  /** Opens the conversation: in RFB the server speaks first. */
  greet(): void {
    this.say(version)
  }

  /**
   * New rights, from the next message on; answers what the target must be told. Whoever loses control lets go of keys and buttons. A viewer
   * that knows only the plain clipboard cannot be silenced in the middle: its stream ends and it comes again.
   */
  change(rights: ViewerRights): Buffer | null {
    const before = this.rights
    this.rights = rights
    if (this.stage !== 'messages') {
      this.guard = rights.clipboard.out ? null : new PlainViewerGuard()
      return null
    }
    if (before.control && !rights.control) this.out.push(...this.hands.release())
    if (before.clipboard.out && !rights.clipboard.out) {
      if (!this.wish || !wordsOf(this.wish).includes(encoding.extendedClipboard))
        throw new WireError('superseded', 'control changed: open the screen again')
      this.out.push(silentCaps)
    }
    const more = (rights.control && !before.control) || (rights.clipboard.out && !before.clipboard.out)
    if (more && this.wish) {
      this.passEncodings(this.wish)
      if (rights.clipboard.out && this.caps) this.out.push(this.caps)
    }
    return this.taken()
  }

  get ready(): boolean {
    return this.stage === 'messages'
  }

  toViewer(data: Buffer): Buffer | null {
    return this.guard ? this.guard.feed(data) : data
  }

  toTarget(data: Buffer): Buffer | null {
    const rest = this.stage === 'messages' ? data : this.handshake(data)
    if (rest) this.cutter.feed(rest)
    return this.taken()
  }

  private taken(): Buffer | null {
    const out = this.out
    this.out = []
    return out.length === 0 ? null : out.length === 1 ? out[0]! : Buffer.concat(out)
  }

  /** Answers what has come of the handshake; what is left over once it is done. */
  private handshake(data: Buffer): Buffer | null {
    this.early = Buffer.concat([this.early, data])
    if (this.stage === 'version') {
      if (!version.subarray(0, this.early.length).equals(this.early.subarray(0, version.length))) {
        throw new WireError('protocol', 'not RFB 003.008')
      }
      if (this.early.length < version.length) return null
      this.early = this.early.subarray(version.length)
      this.stage = 'security'
      this.say(Buffer.from([1, 1]))
    }
    if (this.stage === 'security') {
      if (this.early.length < 1) return null
      if (this.early[0] !== 1) throw new WireError('protocol', `security type ${this.early[0]} was not offered`)
      this.early = this.early.subarray(1)
      this.stage = 'init'
      this.say(Buffer.alloc(4))
    }
    if (this.early.length < 1) return null
    // ClientInit: others may watch too, whatever this viewer wishes.
    this.out.push(Buffer.from([1]))
    this.stage = 'messages'
    // From the first moment on: the clipboard may change before the viewer names its encodings.
    if (!this.rights.clipboard.out) this.out.push(setEncodings([encoding.extendedClipboard, 0]), silentCaps)
    return this.early.subarray(1)
  }

  private judge(message: Buffer): void {
    const { control } = this.rights
    switch (message[0]) {
      case clientType.setPixelFormat:
        this.guard?.pixelFormat(message)
        this.out.push(message)
        return
      case clientType.updateRequest:
      case clientType.continuousUpdates:
      case clientType.fence:
        this.out.push(message)
        return
      case clientType.setEncodings:
        this.wish = Buffer.from(message)
        this.passEncodings(message)
        return
      case clientType.key:
      case clientType.qemu:
      case clientType.pointer:
        if (!control) return
        this.active()
        this.hands.note(message)
        this.out.push(message)
        return
      case clientType.cutText:
        this.passClipboard(message)
        return
      case clientType.setDesktopSize:
        if (control) this.out.push(this.clamped(message))
        return
      // xvp is power: reboot and shutdown. Xvnc even closes the connection on it.
      case clientType.xvp:
        return
    }
  }

  private passEncodings(message: Buffer): void {
    const { control, clipboard } = this.rights
    const wished = wordsOf(message)
    // Extended mouse buttons would make pointer messages of two lengths, told apart only by what the server has answered.
    const barred: number[] = [encoding.xvp, encoding.extendedMouse, ...(control ? [] : [encoding.qemuKey])]
    const passed = wished.filter(word => !barred.includes(word))
    const same = () => (passed.length === wished.length ? message : setEncodings(passed))
    if (passed.includes(encoding.extendedClipboard)) {
      this.guard?.letAllThrough()
      this.out.push(same())
      if (!clipboard.out) this.out.push(silentCaps)
    } else if (clipboard.out && !this.guard) {
      this.out.push(same())
    } else {
      // Also a plain viewer that got the right only later: its guard cannot learn to let text through.
      this.out.push(setEncodings([...passed.filter(canBeToldApart), encoding.extendedClipboard]), silentCaps)
    }
  }

  private passClipboard(message: Buffer): void {
    const { clipboard } = this.rights
    if (message.length > 8 + clipboardCap) return
    if (message.readInt32BE(4) >= 0) {
      if (clipboard.in) this.out.push(message)
      return
    }
    if (message.length < 12) throw new WireError('protocol', 'clipboard message without flags')
    const flags = message.readUInt32BE(8)
    const does = (word: number) => (flags & word) !== 0
    // Caps share their bits with the other actions: look at them first.
    if (does(clipboardDoes.caps)) {
      this.caps = Buffer.from(message)
      if (clipboard.out) this.out.push(message)
    } else if (does(clipboardDoes.request) || does(clipboardDoes.peek)) {
      if (clipboard.out && !does(clipboardDoes.notify) && !does(clipboardDoes.provide)) this.out.push(message)
    } else if (clipboard.in) {
      this.out.push(message)
    }
  }

  /** One screen of the wished size, within what is allowed: Xvnc takes 16384x16384 and two gigabytes without a word. */
  private clamped(message: Buffer): Buffer {
    const { maxDisplay } = this.rights
    const width = clamp(message.readUInt16BE(2), minDisplay.width, maxDisplay.width)
    const height = clamp(message.readUInt16BE(4), minDisplay.height, maxDisplay.height)
    const size = Buffer.alloc(24)
    size.writeUInt8(clientType.setDesktopSize, 0)
    size.writeUInt16BE(width, 2)
    size.writeUInt16BE(height, 4)
    size.writeUInt8(1, 6)
    if (message.length >= 24) message.copy(size, 8, 8, 12)
    size.writeUInt16BE(width, 16)
    size.writeUInt16BE(height, 18)
    return size
  }
}

export function setEncodings(list: readonly number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * list.length)
  message.writeUInt8(clientType.setEncodings, 0)
  message.writeUInt16BE(list.length, 2)
  for (const [index, word] of list.entries()) message.writeInt32BE(word, 4 + 4 * index)
  return message
}

function wordsOf(setEncodings: Buffer): number[] {
  const words: number[] = []
  for (let at = 4; at < setEncodings.length; at += 4) words.push(setEncodings.readInt32BE(at))
  return words
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(Math.min(least, most), Math.min(value, most))
}
