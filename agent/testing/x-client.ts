/**
 * A very small X11 client, written against the protocol itself: it sees where the pointer is and which keys are down, and can own the
 * clipboard. With it a test learns what really reached the X server, without trusting a byte of our own RFB code.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const padded = (length: number) => (length + 3) & ~3

export class XClient {
  private readonly socket: Socket
  private buffer = Buffer.alloc(0)
  private readonly replies: ((reply: Buffer) => void)[] = []
  private setupDone: ((setup: Buffer) => void) | null = null
  private root = 0
  private base = 0
  private text = ''
  private atoms = { clipboard: 0, utf8: 0, targets: 0 }
  /** How often somebody fetched the clipboard's text. */
  textRequests = 0

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', data => {
      this.buffer = Buffer.concat([this.buffer, data])
      this.read()
    })
  }

  static async connect(display: number): Promise<XClient> {
    const socket = connect(`/tmp/.X11-unix/X${display}`)
    await once(socket, 'connect')
    const client = new XClient(socket)
    const setup = await new Promise<Buffer>(resolve => {
      client.setupDone = resolve
      socket.write(Buffer.from([0x6c, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    })
    if (setup[0] !== 1) throw new Error('the X server refused')
    client.base = setup.readUInt32LE(12)
    client.root = setup.readUInt32LE(40 + padded(setup.readUInt16LE(24)) + 8 * setup[29]!)
    client.atoms = {
      clipboard: await client.atom('CLIPBOARD'),
      utf8: await client.atom('UTF8_STRING'),
      targets: await client.atom('TARGETS'),
    }
    return client
  }

  async pointer(): Promise<{ x: number; y: number; mask: number }> {
    const reply = await this.ask(this.request(38, 0, [this.root]))
    return { x: reply.readInt16LE(16), y: reply.readInt16LE(18), mask: reply.readUInt16LE(24) }
  }

  /** Key codes that are down. */
  async keysDown(): Promise<number[]> {
    const map = (await this.ask(this.request(44, 0, []))).subarray(8, 40)
    return [...map].flatMap((byte, index) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter(bit => byte & (1 << bit)).map(bit => index * 8 + bit),
    )
  }

  async size(): Promise<{ width: number; height: number }> {
    const reply = await this.ask(this.request(14, 0, [this.root]))
    return { width: reply.readUInt16LE(16), height: reply.readUInt16LE(18) }
  }

  /** Becomes the owner of the clipboard, answering who asks with `text`. */
  async ownClipboard(text: string): Promise<void> {
    this.text = text
    const window = this.base + 1
    // An invisible window of our own; creating it again only makes an error nobody reads.
    const create = Buffer.alloc(32)
    create.set([1, 0, 8, 0])
    create.writeUInt32LE(window, 4)
    create.writeUInt32LE(this.root, 8)
    create.writeUInt16LE(1, 16)
    create.writeUInt16LE(1, 18)
    create.writeUInt16LE(2, 22)
    this.socket.write(create)
    this.socket.write(this.request(22, 0, [window, this.atoms.clipboard, 0]))
    await this.pointer()
  }

  close(): void {
    this.socket.destroy()
  }

  private async atom(name: string): Promise<number> {
    const request = Buffer.alloc(8 + padded(name.length))
    request.set([16, 0])
    request.writeUInt16LE(request.length / 4, 2)
    request.writeUInt16LE(name.length, 4)
    request.write(name, 8, 'latin1')
    return (await this.ask(request)).readUInt32LE(8)
  }

  private request(opcode: number, detail: number, words: number[]): Buffer {
    const request = Buffer.alloc(4 + 4 * words.length)
    request.set([opcode, detail])
    request.writeUInt16LE(request.length / 4, 2)
    for (const [index, word] of words.entries()) request.writeUInt32LE(word, 4 + 4 * index)
    return request
  }

  private ask(request: Buffer): Promise<Buffer> {
    return new Promise(resolve => {
      this.replies.push(resolve)
      this.socket.write(request)
    })
  }

  private read(): void {
    if (this.setupDone) {
      const size = this.buffer.length < 8 ? 8 : 8 + 4 * this.buffer.readUInt16LE(6)
      if (this.buffer.length < size) return
      this.setupDone(this.buffer.subarray(0, size))
      this.setupDone = null
      this.buffer = this.buffer.subarray(size)
    }
    while (this.buffer.length >= 32) {
      const size = this.buffer[0] === 1 ? 32 + 4 * this.buffer.readUInt32LE(4) : 32
      if (this.buffer.length < size) return
      const packet = this.buffer.subarray(0, size)
      this.buffer = this.buffer.subarray(size)
      if (packet[0] === 1) this.replies.shift()?.(packet)
      else if ((packet[0]! & 0x7f) === 30) this.serveClipboard(packet)
    }
  }

  /** SelectionRequest: put what is asked into the asker's property and say so. */
  private serveClipboard(event: Buffer): void {
    const [requestor, target, property] = [event.readUInt32LE(12), event.readUInt32LE(20), event.readUInt32LE(24)]
    const isTargets = target === this.atoms.targets
    if (target === this.atoms.utf8) this.textRequests++
    const data = isTargets ? Buffer.alloc(8) : Buffer.from(this.text)
    if (isTargets) {
      data.writeUInt32LE(this.atoms.targets, 0)
      data.writeUInt32LE(this.atoms.utf8, 4)
    }
    const change = Buffer.alloc(24 + padded(data.length))
    change.set([18, 0])
    change.writeUInt16LE(change.length / 4, 2)
    change.writeUInt32LE(requestor, 4)
    change.writeUInt32LE(property, 8)
    change.writeUInt32LE(isTargets ? 4 : this.atoms.utf8, 12)
    change.writeUInt8(isTargets ? 32 : 8, 16)
    change.writeUInt32LE(isTargets ? 2 : data.length, 20)
    data.copy(change, 24)
    this.socket.write(change)
    const notify = Buffer.alloc(44)
    notify.set([25, 0, 11, 0])
    notify.writeUInt32LE(requestor, 4)
    notify.writeUInt8(31, 12)
    event.copy(notify, 16, 4, 8)
    notify.writeUInt32LE(requestor, 20)
    event.copy(notify, 24, 16, 28)
    this.socket.write(notify)
  }
}
