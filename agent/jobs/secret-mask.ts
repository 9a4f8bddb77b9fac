/**
 * Hides secrets in output, byte for byte: what is hidden has as many `*` as it had bytes, so places in the stream stay what they are. Holds back
 * only what may be the beginning of a secret, so a reader that stops and goes on never cuts one in two.
 */
const shortest = 4
const star = 0x2a

export class SecretMask {
  private readonly needles: Buffer[]
  private held: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    const forms = secrets
      .filter(secret => secret.length >= shortest)
      .flatMap(secret => [secret, Buffer.from(secret).toString('base64').replace(/=+$/, ''), encodeURIComponent(secret)])
    // Longest first: a secret within another one does not leave the rest of that one visible.
    this.needles = [...new Set(forms)].map(form => Buffer.from(form)).sort((a, b) => b.length - a.length)
  }

  /** What may be shown now. */
  push(data: Uint8Array): Buffer {
    if (this.needles.length === 0) return Buffer.from(data)
    const all = Buffer.concat([this.held, data])
    this.hide(all)
    const kept = this.openEnd(all)
    this.held = Buffer.from(all.subarray(all.length - kept))
    return all.subarray(0, all.length - kept)
  }

  get holdsNothing(): boolean {
    return this.held.length === 0
  }

  /** The rest, at the end of the stream or before a gap. */
  flush(): Buffer {
    const rest = this.held
    this.held = Buffer.alloc(0)
    return rest
  }

  private hide(all: Buffer): void {
    for (const needle of this.needles)
      for (let at = all.indexOf(needle); at >= 0; at = all.indexOf(needle, at + needle.length))
        all.fill(star, at, at + needle.length)
  }

  /** Length of the longest end that begins a secret. */
  private openEnd(all: Buffer): number {
    let longest = 0
    for (const needle of this.needles)
      for (let length = Math.min(needle.length - 1, all.length); length > longest; length--)
        if (all.subarray(all.length - length).equals(needle.subarray(0, length))) longest = length
    return longest
  }
}
