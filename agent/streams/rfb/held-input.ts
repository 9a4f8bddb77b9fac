/** Keys and buttons that a viewer holds down, so that they can be let go of when control is taken from it. */
import { clientType } from './client-messages.ts'

/** Nobody has more fingers; what is pressed beyond is not remembered. */
const mostKeys = 64

export class HeldInput {
  private readonly keys = new Map<string, Buffer>()
  private pointer: Buffer | null = null

  note(message: Buffer): void {
    if (message[0] === clientType.pointer) {
      this.pointer = message[1] === 0 ? null : Buffer.from(message)
      return
    }
    const up = Buffer.from(message)
    // Key: [4, down, 0, 0, keysym]. QEMU key: [255, 0, down(2), keysym, keycode].
    const down = message[0] === clientType.key ? message[1] !== 0 : message.readUInt16BE(2) !== 0
    if (message[0] === clientType.key) up[1] = 0
    else up.writeUInt16BE(0, 2)
    const name = up.toString('latin1')
    if (!down) this.keys.delete(name)
    else if (this.keys.size < mostKeys) this.keys.set(name, up)
  }

  /** The messages that let go of everything. */
  release(): Buffer[] {
    const out = [...this.keys.values()]
    if (this.pointer) {
      this.pointer[1] = 0
      out.push(this.pointer)
    }
    this.keys.clear()
    this.pointer = null
    return out
  }
}
