/**
 * What the programs of a session wrote, over its generations, in two files of at most `cap` bytes: `log` and, before it, `log.1`. The agent
 * writes it, from pipes: a session cannot reach its own log.
 */
import { open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'

export const logCap = 5 * 2 ** 20
/** A follower that does not read loses the oldest of what waits. */
const waitingCap = 2 ** 20

interface Follower {
  waiting: Buffer[]
  bytes: number
  wake: () => void
}

export class SessionLog {
  private readonly folder: string
  private readonly cap: number
  private readonly followers = new Set<Follower>()
  private queue: Promise<void> = Promise.resolve()
  private queued = 0

  constructor(folder: string, cap = logCap) {
    this.folder = folder
    this.cap = cap
  }

  /** Bytes taken but not yet on the disk: a source may be paused on it. */
  get backlog(): number {
    return this.queued
  }

  /** Resolves when it is written. A full disk loses the lines, not the session. */
  append(chunk: Buffer): Promise<void> {
    this.queued += chunk.length
    return this.inTurn(async () => {
      try {
        await this.write(chunk)
      } finally {
        this.queued -= chunk.length
        for (const follower of this.followers) give(follower, chunk)
      }
    }).catch(() => {})
  }

  async *read(options: { tailLines?: number | undefined; follow: boolean; signal: AbortSignal }): AsyncGenerator<Uint8Array> {
    const { follow, signal, tailLines } = options
    const follower: Follower = { waiting: [], bytes: 0, wake: () => {} }
    // In turn with the writing: what is read here and what follows join without a gap or a repetition.
    const kept = await this.inTurn(async () => {
      const parts = await Promise.all(
        ['log.1', 'log'].map(name => readFile(join(this.folder, name)).catch(() => Buffer.alloc(0))),
      )
      if (follow) this.followers.add(follower)
      return Buffer.concat(parts)
    })
    try {
      const shown = tailLines === undefined ? kept : lastLines(kept, tailLines)
      if (shown.length > 0) yield shown
      while (follow && !signal.aborted) {
        const next = follower.waiting.shift()
        if (next) {
          follower.bytes -= next.length
          yield next
        } else await woken(follower, signal)
      }
    } finally {
      this.followers.delete(follower)
    }
  }

  private async write(chunk: Buffer): Promise<void> {
    const path = join(this.folder, 'log')
    const size = await stat(path).then(
      facts => facts.size,
      () => 0,
    )
    if (size > 0 && size + chunk.length > this.cap) await rename(path, join(this.folder, 'log.1'))
    const file = await open(path, 'a', 0o600)
    try {
      await file.write(chunk)
    } finally {
      await file.close()
    }
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.queue.then(work)
    this.queue = done.then(
      () => {},
      () => {},
    )
    return done
  }
}

function give(follower: Follower, chunk: Buffer): void {
  follower.waiting.push(chunk)
  follower.bytes += chunk.length
  while (follower.bytes > waitingCap && follower.waiting.length > 1) follower.bytes -= follower.waiting.shift()!.length
  follower.wake()
}

function woken(follower: Follower, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      signal.removeEventListener('abort', done)
      follower.wake = () => {}
      resolve()
    }
    follower.wake = done
    signal.addEventListener('abort', done, { once: true })
  })
}

export function lastLines(text: Buffer, lines: number): Buffer {
  if (lines <= 0) return Buffer.alloc(0)
  let at = text.length - 1
  for (let left = lines; at > 0; left--) {
    at = text.lastIndexOf(0x0a, at - 1)
    if (at < 0 || left === 1) break
  }
  return text.subarray(at < 0 ? 0 : at + 1)
}
