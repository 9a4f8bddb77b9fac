/** The few words of RFB the host speaks to its own Xvnc: one full picture of the screen, and "be this large". Raw encoding only. */
import { connect, type Socket } from 'node:net'
import type { Size } from './host-spec.ts'

const rawEncoding = 0
const cursorEncoding = -239
const extendedDesktopSize = -308
const sizeStatus = ['', 'forbidden', 'out of resources', 'not possible']

export type RfbAddress = { socket: string } | { port: number }

export interface Picture extends Size {
  /** 4 bytes a pixel: red, green, blue, nothing. */
  pixels: Buffer
}

export async function readScreen(address: RfbAddress): Promise<Picture> {
  const rfb = await open(address)
  try {
    return await rfb.picture()
  } finally {
    rfb.end()
  }
}

/** Resolves with the size the screen then has. */
export async function resizeScreen(address: RfbAddress, size: Size): Promise<Size> {
  const rfb = await open(address)
  try {
    return await rfb.resize(size)
  } finally {
    rfb.end()
  }
}

async function open(address: RfbAddress): Promise<Rfb> {
  const socket = connect('socket' in address ? { path: address.socket } : { host: '127.0.0.1', port: address.port })
  const rfb = new Rfb(socket)
  try {
    await rfb.handshake()
    return rfb
  } catch (cause) {
    rfb.end()
    throw cause
  }
}

class Rfb {
  private readonly socket: Socket
  private readonly chunks: AsyncIterator<Buffer>
  private held: Buffer[] = []
  private heldBytes = 0
  private size: Size = { width: 0, height: 0 }
  private screen = { id: 0, flags: 0 }
  private pixels: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.socket = socket
    socket.setTimeout(10_000, () => socket.destroy(new Error('the display did not answer in 10 seconds')))
    this.chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  end(): void {
    this.socket.destroy()
  }

  async handshake(): Promise<void> {
    await this.read(12)
    this.socket.write('RFB 003.008\n')
    const count = (await this.read(1))[0]!
    const types = await this.read(count)
    if (!types.includes(1)) throw new Error('the display asks for a password')
    this.socket.write(Buffer.from([1]))
    if ((await this.read(4)).readUInt32BE(0) !== 0) throw new Error('the display refused the connection')
    const shared = Buffer.from([1])
    this.socket.write(shared)
    const init = await this.read(24)
    this.size = { width: init.readUInt16BE(0), height: init.readUInt16BE(2) }
    await this.read(init.readUInt32BE(20))
    const rgbx = Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])
    const encodings = [rawEncoding, extendedDesktopSize, cursorEncoding]
    const offer = Buffer.alloc(4 + encodings.length * 4)
    offer[0] = 2
    offer.writeUInt16BE(encodings.length, 2)
    for (const [index, encoding] of encodings.entries()) offer.writeInt32BE(encoding, 4 + index * 4)
    this.socket.write(Buffer.concat([rgbx, offer]))
  }

  async picture(): Promise<Picture> {
    let missing = Number.POSITIVE_INFINITY
    let asked: Size | null = null
    while (missing > 0) {
      if (asked === null || asked.width !== this.size.width || asked.height !== this.size.height) {
        asked = this.size
        missing = asked.width * asked.height
        this.pixels = Buffer.alloc(missing * 4)
        this.askForUpdate(false)
      }
      const painted = await this.nextUpdate()
      missing -= painted
      // A full request is answered with the size alone, which uses it up; what it marked as wanted comes with the next.
      if (painted === 0) this.askForUpdate(true)
    }
    return { ...this.size, pixels: this.pixels }
  }

  async resize(size: Size): Promise<Size> {
    let refused = -1
    // The first update tells the screen's id, which the request must repeat.
    this.askForUpdate(true)
    await this.nextUpdate()
    const request = Buffer.alloc(24)
    request[0] = 251
    request.writeUInt16BE(size.width, 2)
    request.writeUInt16BE(size.height, 4)
    request[6] = 1
    request.writeUInt32BE(this.screen.id, 8)
    request.writeUInt16BE(size.width, 16)
    request.writeUInt16BE(size.height, 18)
    request.writeUInt32BE(this.screen.flags, 20)
    this.socket.write(request)
    this.askForUpdate(true)
    while (refused < 0) await this.nextUpdate(status => (refused = status))
    if (refused > 0) throw new Error(`the display cannot be ${size.width}x${size.height}: ${sizeStatus[refused] ?? refused}`)
    return this.size
  }

  private askForUpdate(incremental: boolean): void {
    const request = Buffer.alloc(10)
    request[0] = 3
    request[1] = incremental ? 1 : 0
    request.writeUInt16BE(this.size.width, 6)
    request.writeUInt16BE(this.size.height, 8)
    this.socket.write(request)
  }

  /** Pixels painted by one FramebufferUpdate; other messages are read over. */
  private async nextUpdate(answered: (status: number) => void = () => {}): Promise<number> {
    const type = (await this.read(1))[0]!
    if (type === 2) return 0
    if (type === 3) {
      const length = (await this.read(7)).readInt32BE(3)
      await this.read(Math.abs(length))
      return 0
    }
    if (type !== 0) throw new Error(`the display sent an unknown message (${type})`)
    const count = (await this.read(3)).readUInt16BE(1)
    let painted = 0
    for (let index = 0; index < count; index++) painted += await this.rectangle(answered)
    return painted
  }

  private async rectangle(answered: (status: number) => void): Promise<number> {
    const head = await this.read(12)
    const [x, y, width, height] = [head.readUInt16BE(0), head.readUInt16BE(2), head.readUInt16BE(4), head.readUInt16BE(6)]
    const encoding = head.readInt32BE(8)
    if (encoding === cursorEncoding) {
      await this.read(width * height * 4 + Math.ceil(width / 8) * height)
      return 0
    }
    if (encoding === extendedDesktopSize) {
      const screens = await this.read(4)
      const layout = await this.read(16 * screens[0]!)
      if (layout.length >= 16) this.screen = { id: layout.readUInt32BE(0), flags: layout.readUInt32BE(12) }
      const byThisClient = 1
      if (x === byThisClient) answered(y)
      if (x !== byThisClient || y === 0) this.size = { width, height }
      return 0
    }
    if (encoding !== rawEncoding) throw new Error(`the display sent an unknown encoding (${encoding})`)
    const data = await this.read(width * height * 4)
    const stride = this.size.width * 4
    if (this.pixels.length > 0)
      for (let row = 0; row < height; row++)
        data.copy(this.pixels, (y + row) * stride + x * 4, row * width * 4, (row + 1) * width * 4)
    return width * height
  }

  private async read(bytes: number): Promise<Buffer> {
    while (this.heldBytes < bytes) {
      const { value, done } = await this.chunks.next()
      if (done) throw new Error('the display closed the connection')
      this.held.push(value)
      this.heldBytes += value.length
    }
    const all = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held)
    this.held = all.length > bytes ? [all.subarray(bytes)] : []
    this.heldBytes = all.length - bytes
    return all.subarray(0, bytes)
  }
}
