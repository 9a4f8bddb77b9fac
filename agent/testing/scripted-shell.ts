/** A shell that a test plays: it says what it is told to, and remembers what was typed, which sizes it got and how it ended. */
import { type Duplex, duplexPair } from 'node:stream'
import type { Shell } from '../runtimes/runtime.ts'

export class ScriptedShell implements Shell {
  readonly stream: Duplex
  readonly ended: Promise<{ exitCode: number | null; reason: string }>
  readonly sizes: string[] = []
  typed = ''
  ends = 0
  private readonly far: Duplex
  private finish: (end: { exitCode: number | null; reason: string }) => void = () => {}

  constructor() {
    const [near, far] = duplexPair()
    this.stream = near
    this.far = far
    far.on('data', chunk => {
      this.typed += String(chunk)
    })
    this.ended = new Promise(resolve => (this.finish = resolve))
  }

  say(text: string | Buffer): boolean {
    return this.far.write(text)
  }
  exit(exitCode: number | null, reason = 'it ended'): void {
    this.finish({ exitCode, reason })
  }
  resize(cols: number, rows: number): void {
    this.sizes.push(`${cols}x${rows}`)
  }
  async end(): Promise<void> {
    this.ends++
    this.exit(null, 'ended from outside')
  }
}
