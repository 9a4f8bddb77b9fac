/** The last bytes of a terminal's output, each at its offset since the beginning: what was pushed out is gone, and its place is known. */
export class Scrollback {
  /** Offset of the byte that comes next: how much was ever written. */
  end = 0
  private readonly kept: Buffer
  private wiped = 0

  constructor(capacity: number) {
    this.kept = Buffer.alloc(capacity)
  }

  /** Offset of the oldest byte that is still here. */
  get start(): number {
    return Math.max(this.wiped, this.end - this.kept.length)
  }

  push(chunk: Buffer): void {
    const capacity = this.kept.length
    const last = chunk.subarray(Math.max(0, chunk.length - capacity))
    let at = (this.end + chunk.length - last.length) % capacity
    for (let from = 0; from < last.length; at = 0) from += last.copy(this.kept, at, from, from + capacity - at)
    this.end += chunk.length
  }

  /** A copy of at most `most` bytes from `offset` on, which must lie between `start` and `end`. */
  read(offset: number, most: number): Buffer {
    if (offset < this.start || offset > this.end) throw new RangeError(`${offset} is not kept`)
    const capacity = this.kept.length
    const length = Math.min(most, this.end - offset)
    const at = offset % capacity
    const first = this.kept.subarray(at, Math.min(at + length, capacity))
    return Buffer.concat([first, this.kept.subarray(0, length - first.length)], length)
  }

  /** Where reading may begin after a gap: behind the next line's end, so that no escape sequence or character is cut, else at the oldest byte. */
  restart(within = 4096): number {
    const { start } = this
    const newline = this.read(start, within).indexOf(0x0a)
    return newline < 0 ? start : start + newline + 1
  }

  wipe(): void {
    this.kept.fill(0)
    this.wiped = this.end
  }
}
