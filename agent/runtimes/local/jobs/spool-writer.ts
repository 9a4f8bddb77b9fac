/**
 * A job's output on disk, in segments named by the offset of their first byte. The first ones and the newest ones are kept, what is between is
 * dropped: readers see the hole by the names. Writes are synchronous: this runs in the job's own supervisor, whose only work it is.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export const segmentBytes = 2 ** 20
export const spoolHeadBytes = 4 * segmentBytes
const newestSegments = 16

export const segmentName = (offset: number) => String(offset).padStart(16, '0')

export class SpoolWriter {
  /** The next byte's offset. */
  end = 0
  private readonly folder: string
  private readonly ring: string[] = []
  private file: number | null = null
  private room = 0

  constructor(folder: string) {
    this.folder = folder
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.room === 0) this.next()
      const part = chunk.subarray(at, at + this.room)
      const written = writeSync(this.file!, part)
      at += written
      this.room -= written
      this.end += written
    }
  }

  close(): void {
    if (this.file !== null) closeSync(this.file)
    this.file = null
    this.room = 0
  }

  private next(): void {
    this.close()
    const path = join(this.folder, segmentName(this.end))
    this.file = openSync(path, 'wx', 0o600)
    this.room = segmentBytes
    if (this.end < spoolHeadBytes) return
    this.ring.push(path)
    if (this.ring.length > newestSegments) rmSync(this.ring.shift()!, { force: true })
  }
}
