/** A hibernating WebSocket as the port that the link speaks to: the object hands on what workerd wakes it for. */
import { passableClose } from '#protocol/close-codes.ts'
import type { LinkSocket } from '../tunnel/link-port.ts'

export class HibernatingSocket implements LinkSocket {
  private readonly ws: WebSocket
  private take: (text: string) => Promise<void> = async () => {}
  private ended: ((code: number, reason: string) => void) | null = null
  constructor(ws: WebSocket) {
    this.ws = ws
  }

  /** workerd does not say when a message left; the link's own window of acknowledgements limits what is under way. */
  async send(text: string): Promise<void> {
    try {
      this.ws.send(text)
    } catch {
      // Closed meanwhile: its end is told by itself.
    }
  }

  close(code: number, reason: string): void {
    const passed = passableClose(code, reason)
    try {
      this.ws.close(passed.code, passed.reason)
    } catch {
      // It was closed already.
    }
    // Whoever does not answer a close must not keep the link's place.
    this.gone(passed.code, passed.reason)
  }

  onMessage(take: (text: string) => Promise<void>): void {
    this.take = take
  }

  onClose(ended: (code: number, reason: string) => void): void {
    this.ended = ended
  }

  deliver(text: string): Promise<void> {
    return this.take(text)
  }

  /** Once, whoever closed. */
  gone(code: number, reason: string): void {
    const { ended } = this
    this.ended = null
    ended?.(code, reason)
  }
}
