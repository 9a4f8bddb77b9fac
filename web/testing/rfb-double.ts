/**
 * A screen for tests: enough of an RFB 3.8 server to satisfy noVNC. Shows a picture, sends it raw, remembers what it was sent.
 * Not a VNC server: no encodings, no resize, one viewer per socket.
 */
import { PNG } from 'pngjs'
import type { WebSocket } from 'ws'

export interface RfbSeen {
  keys: { down: boolean; keysym: number }[]
  pointers: { buttons: number; x: number; y: number }[]
  clipboard: string[]
}

export interface RfbDouble {
  seen: RfbSeen
  /** Text the session's programs copied. */
  copy: (text: string) => void
  paint: (picture: PNG) => void
}

const fixedLengths: Record<number, number> = { 0: 20, 3: 10, 4: 8, 5: 6, 150: 10, 250: 4 }

export function serveRfb(socket: WebSocket, first: PNG, name: string): RfbDouble {
  const seen: RfbSeen = { keys: [], pointers: [], clipboard: [] }
  let picture = first
  let pending = Buffer.alloc(0)
  let stage: 'version' | 'security' | 'init' | 'normal' = 'version'
  let asked = false
  socket.send(Buffer.from('RFB 003.008\n'))

  socket.on('message', (data: Buffer) => {
    pending = Buffer.concat([pending, data])
    while (step());
  })

  function take(length: number): Buffer | null {
    if (pending.length < length) return null
    const taken = pending.subarray(0, length)
    pending = pending.subarray(length)
    return taken
  }

  function step(): boolean {
    if (stage === 'version') {
      if (!take(12)) return false
      socket.send(Buffer.from([1, 1]))
      stage = 'security'
      return true
    }
    if (stage === 'security') {
      if (!take(1)) return false
      socket.send(Buffer.alloc(4))
      stage = 'init'
      return true
    }
    if (stage === 'init') {
      if (!take(1)) return false
      socket.send(serverInit())
      stage = 'normal'
      return true
    }
    return message()
  }

  function message(): boolean {
    const type = pending[0]
    if (type === undefined) return false
    if (type === 2) {
      if (pending.length < 4) return false
      return take(4 + 4 * pending.readUInt16BE(2)) !== null
    }
    if (type === 6) {
      if (pending.length < 8) return false
      const text = take(8 + Math.abs(pending.readInt32BE(4)))
      if (text) seen.clipboard.push(text.subarray(8).toString('latin1'))
      return text !== null
    }
    const length = fixedLengths[type]
    if (length === undefined) {
      socket.close(4400, 'protocol')
      return false
    }
    const body = take(length)
    if (!body) return false
    if (type === 3) update(body)
    if (type === 4) seen.keys.push({ down: body[1] === 1, keysym: body.readUInt32BE(4) })
    if (type === 5) seen.pointers.push({ buttons: body[1] ?? 0, x: body.readUInt16BE(2), y: body.readUInt16BE(4) })
    return true
  }

  function serverInit(): Buffer {
    const title = Buffer.from(name)
    const init = Buffer.alloc(24)
    init.writeUInt16BE(picture.width, 0)
    init.writeUInt16BE(picture.height, 2)
    Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0]).copy(init, 4)
    init.writeUInt32BE(title.length, 20)
    return Buffer.concat([init, title])
  }

  function update(request: Buffer): void {
    const incremental = request[1] === 1
    const tiny = request.readUInt16BE(6) === 1
    // An incremental request waits for a change; here only `paint` makes one.
    if (incremental) asked = true
    else send(tiny ? 1 : picture.width, tiny ? 1 : picture.height)
  }

  function send(width: number, height: number): void {
    const head = Buffer.alloc(16)
    head.writeUInt16BE(1, 2)
    head.writeUInt16BE(width, 8)
    head.writeUInt16BE(height, 10)
    const pixels = Buffer.alloc(width * height * 4)
    for (let row = 0; row < height; row++) {
      Buffer.from(picture.data.buffer, picture.data.byteOffset + row * picture.width * 4, width * 4).copy(pixels, row * width * 4)
    }
    socket.send(Buffer.concat([head, pixels]))
  }

  return {
    seen,
    copy(text) {
      const bytes = Buffer.from(text, 'latin1')
      const head = Buffer.alloc(8)
      head[0] = 3
      head.writeUInt32BE(bytes.length, 4)
      socket.send(Buffer.concat([head, bytes]))
    },
    paint(next) {
      picture = next
      if (asked) send(picture.width, picture.height)
      asked = false
    },
  }
}

/** One colour, for tests that look at pixels. */
export function plainPicture(width: number, height: number, [red, green, blue]: readonly [number, number, number]): PNG {
  const png = new PNG({ width, height })
  for (let at = 0; at < png.data.length; at += 4) png.data.set([red, green, blue, 255], at)
  return png
}

export function pngBytes(picture: PNG): Buffer {
  return PNG.sync.write(picture, { deflateLevel: 1, filterType: 0 })
}
