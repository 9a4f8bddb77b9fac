/**
 * For viewers that never learned the extended clipboard while the session's clipboard must not reach them. The server is told in their name that
 * they know it (that is what keeps the text in), so it sends clipboard notices such a viewer could not read: they are taken out here. That
 * needs the server's messages told apart, so these viewers get only encodings whose length can be seen. Hygiene, not
 * protection: if the two ever fall out of step, the text still never left the server.
 */
const pseudo = {
  desktopSize: -223,
  lastRect: -224,
  pointerPosition: -232,
  cursor: -239,
  xCursor: -240,
  qemuKey: -258,
  led: -261,
  desktopName: -307,
  extendedDesktopSize: -308,
  fence: -312,
  continuousUpdates: -313,
} as const
const readable = new Set<number>([0, 1, 2, 6, 16, ...Object.values(pseudo)])
/** Quality and compression levels: wishes without a rectangle of their own. */
const isLevel = (encoding: number) => (encoding >= -32 && encoding <= -23) || (encoding >= -256 && encoding <= -247)

export const canBeToldApart = (encoding: number): boolean => readable.has(encoding) || isLevel(encoding)

type Told = { size: number } | { need: number }

export class PlainViewerGuard {
  private stage: 'init' | 'messages' | 'open' = 'init'
  private bytesPerPixel = 4
  private head: Buffer = Buffer.alloc(0)
  /** Of the present message or rectangle: so many bytes still come, to be passed on or left out. */
  private left = 0
  private leaveOut = false
  private rects = 0

  /** The viewer knows the extended clipboard: nothing has to be taken out from the next message on. */
  letAllThrough(): void {
    this.stage = 'open'
  }

  pixelFormat(message: Buffer): void {
    this.bytesPerPixel = message[4]! / 8
  }

  feed(data: Buffer): Buffer | null {
    if (this.stage === 'open' && this.left === 0 && this.head.length === 0) return data
    const out: Buffer[] = []
    // What is kept for the next time must not lie in memory that is read into again.
    let rest: Buffer = Buffer.from(data)
    while (rest.length > 0) {
      if (this.left > 0) {
        const part = rest.subarray(0, this.left)
        if (!this.leaveOut) out.push(part)
        this.left -= part.length
        rest = rest.subarray(part.length)
        continue
      }
      if (this.stage === 'open') {
        out.push(this.head, rest)
        this.head = Buffer.alloc(0)
        break
      }
      const joined = this.head.length > 0 ? Buffer.concat([this.head, rest]) : rest
      const told = this.next(joined)
      if ('need' in told) {
        this.head = joined
        break
      }
      this.head = Buffer.alloc(0)
      this.left = told.size
      rest = joined
    }
    return out.length === 0 ? null : out.length === 1 ? out[0]! : Buffer.concat(out)
  }

  /** Size of what begins here. Only small heads are ever held back. */
  private next(bytes: Buffer): Told {
    this.leaveOut = false
    if (this.stage === 'init') {
      if (bytes.length < 24) return { need: 24 }
      this.stage = 'messages'
      this.bytesPerPixel = bytes[4]! / 8
      return { size: 24 + bytes.readUInt32BE(20) }
    }
    if (this.rects > 0) {
      const told = rectSize(bytes, this.bytesPerPixel)
      if (told === null) return this.lost()
      if ('size' in told) this.rects = bytes.readInt32BE(8) === pseudo.lastRect ? 0 : this.rects - 1
      return told
    }
    switch (bytes[0]) {
      case 0:
        if (bytes.length < 4) return { need: 4 }
        this.rects = bytes.readUInt16BE(2)
        return { size: 4 }
      case 1:
        return bytes.length < 6 ? { need: 6 } : { size: 6 + 6 * bytes.readUInt16BE(4) }
      case 2:
      case 150:
        return { size: 1 }
      case 3:
        if (bytes.length < 8) return { need: 8 }
        this.leaveOut = true
        return { size: 8 + Math.abs(bytes.readInt32BE(4)) }
      case 248:
        return bytes.length < 9 ? { need: 9 } : { size: 9 + bytes[8]! }
      default:
        return this.lost()
    }
  }

  /** Not understood: from here on everything passes as it is. */
  private lost(): Told {
    this.stage = 'open'
    this.rects = 0
    return { size: 0 }
  }
}

/** Bytes of one rectangle with its header; null: an encoding nobody was offered. */
function rectSize(bytes: Buffer, pixel: number): Told | null {
  const known = (head: number, size: () => number): Told => (bytes.length < head ? { need: head } : { size: size() })
  if (bytes.length < 12) return { need: 12 }
  const [width, height] = [bytes.readUInt16BE(4), bytes.readUInt16BE(6)]
  const maskBytes = Math.floor((width + 7) / 8) * height
  switch (bytes.readInt32BE(8)) {
    case 0:
      return { size: 12 + width * height * pixel }
    case 1:
      return { size: 16 }
    case 2:
      return known(16, () => 16 + pixel + bytes.readUInt32BE(12) * (pixel + 8))
    case 6:
    case 16:
      return known(16, () => 16 + bytes.readUInt32BE(12))
    case pseudo.desktopSize:
    case pseudo.lastRect:
    case pseudo.pointerPosition:
    case pseudo.qemuKey:
      return { size: 12 }
    case pseudo.cursor:
      return { size: 12 + width * height * pixel + maskBytes }
    case pseudo.xCursor:
      return { size: 12 + (width * height === 0 ? 0 : 6 + 2 * maskBytes) }
    case pseudo.led:
      return { size: 13 }
    case pseudo.desktopName:
      return known(16, () => 16 + bytes.readUInt32BE(12))
    case pseudo.extendedDesktopSize:
      return known(13, () => 16 + 16 * bytes[12]!)
    default:
      return null
  }
}
