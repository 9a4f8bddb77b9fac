/**
 * What there is of one kind of object, kept true: list, then watch from there. Trusts a watch only while it is heard of (events or bookmarks),
 * lists anew after `410 Gone`, after anything odd, and every five minutes anyway; what went away unheard is found by comparing.
 * Our own writes are put in at once, so that nobody here reads something older than he wrote.
 */
import { type Clock, sleep } from '#agent/clock.ts'
import { Backoff } from '#agent/link/backoff.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import { jsonLines } from './json-lines.ts'
import type { KubeClient } from './kube-client.ts'
import { isKubeError, KubeError } from './kube-error.ts'
import type { KubeList, KubeObject, KubeStatus, WatchEvent } from './wire.ts'

export const watchTiming = {
  /** Bookmarks come about every minute: this much silence means that nobody is there. */
  silence: 90_000,
  relist: 300_000,
  /** The server ends a watch after this long (seconds, jittered), so that a lost one is never the last. */
  timeoutSeconds: 240,
  backoffBase: 500,
  backoffCap: 15_000,
} as const

const pageSize = 500
const rememberedDead = 10_000

export interface WatchedListParts<T extends KubeObject> {
  client: KubeClient
  /** Collection, e.g. `/api/v1/namespaces/a/pods`. */
  path: string
  selector: { labelSelector?: string; fieldSelector?: string }
  clock: Clock
  random: () => number
  log: Log
  changed: (change: { kind: 'set' | 'gone'; object: T; before: T | undefined }) => void
}

export class WatchedList<T extends KubeObject> {
  readonly items = new Map<string, T>()
  private readonly parts: WatchedListParts<T>
  private readonly dead = new Set<string>()
  /** Written by ourselves while a list was being read that may not know of it yet. */
  private readonly fresh = new Set<string>()
  private readonly synced = Promise.withResolvers<void>()
  private readonly followers = new Map<string, Set<() => void>>()
  private contact: number | null = null

  constructor(parts: WatchedListParts<T>) {
    this.parts = parts
    this.synced.promise.catch(() => {})
  }

  /** Resolves when everything has been seen once. */
  get ready(): Promise<void> {
    return this.synced.promise
  }

  /** Clock moment when the server was last heard of; null: never. */
  get heardAt(): number | null {
    return this.contact
  }

  /** An object as the server just answered it to us. */
  put(object: T): void {
    this.fresh.add(uidOf(object))
    this.set(object)
  }

  /** It is gone: the server told us directly. */
  gone(uid: string): void {
    this.dead.add(uid)
    if (this.dead.size > rememberedDead) this.dead.delete(this.dead.values().next().value!)
    const before = this.items.get(uid)
    if (before) this.drop(uid, before)
  }

  /** Calls at each change of it, and when it is gone; returns the end of following. */
  onNews(uid: string, call: () => void): () => void {
    const calls = this.followers.get(uid) ?? new Set()
    this.followers.set(uid, calls.add(call))
    return () => {
      calls.delete(call)
      if (calls.size === 0) this.followers.delete(uid)
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, random, path } = this.parts
    const backoff = new Backoff(random, watchTiming.backoffBase, watchTiming.backoffCap)
    while (!signal.aborted) {
      try {
        const version = await this.list(signal)
        this.synced.resolve()
        await this.follow(version, signal, () => backoff.reset())
      } catch (error) {
        if (signal.aborted) break
        // Expired history is the normal end of a watch that fell behind; no reason to wait.
        if (isKubeError(error, 410)) continue
        const wait = error instanceof KubeError && error.retryAfterMs !== null ? error.retryAfterMs : backoff.next()
        log.warn('a watch ended, listing anew', { path, error: whatFailed(error), retry_ms: Math.round(wait) })
        await sleep(clock, wait, signal)
      }
    }
    this.synced.reject(signal.reason)
  }

  private async list(signal: AbortSignal): Promise<string> {
    const { client, path, selector } = this.parts
    this.fresh.clear()
    const seen = new Map<string, T>()
    let version = ''
    let next: string | undefined
    do {
      const page = await client.request<KubeList<T>>({
        method: 'GET',
        path,
        query: { ...selector, limit: pageSize, continue: next },
        priority: 'look',
        signal,
        patienceMs: 0,
      })
      this.heard()
      for (const item of page.items) seen.set(uidOf(item), item)
      version = page.metadata.resourceVersion ?? ''
      next = page.metadata.continue || undefined
    } while (next)
    for (const uid of [...this.items.keys()]) {
      if (seen.has(uid) || this.fresh.has(uid)) continue
      this.drop(uid, this.items.get(uid)!)
    }
    for (const item of seen.values()) this.set(item)
    return version
  }

  /** Returns when it is time to list anew; throws when the watch cannot be trusted any more. */
  private async follow(from: string, signal: AbortSignal, works: () => void): Promise<void> {
    const { clock } = this.parts
    const end = new AbortController()
    const cancelRelist = clock.after(watchTiming.relist, () => end.abort('relist'))
    const until = AbortSignal.any([signal, end.signal])
    let version = from
    try {
      while (!until.aborted) {
        const opened = clock.now()
        version = await this.watchOnce(version, until, works)
        // A server that hangs up at once is not asked again at once.
        if (clock.now() - opened < 1_000) await sleep(clock, 1_000, until)
      }
    } catch (error) {
      if (!end.signal.aborted || signal.aborted) throw error
    } finally {
      cancelRelist()
    }
  }

  private async watchOnce(from: string, until: AbortSignal, works: () => void): Promise<string> {
    const { client, path, selector, clock, random } = this.parts
    const silent = new AbortController()
    const body = await client.stream({
      method: 'GET',
      path,
      query: {
        ...selector,
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: from,
        timeoutSeconds: Math.round(watchTiming.timeoutSeconds * (1 + random() / 4)),
      },
      priority: 'look',
      signal: AbortSignal.any([until, silent.signal]),
      patienceMs: 0,
    })
    const giveUp = () => silent.abort(new Error(`nothing heard for ${watchTiming.silence / 1000} s`))
    let cancel = clock.after(watchTiming.silence, giveUp)
    let version = from
    try {
      const heard = () => {
        this.heard()
        cancel()
        cancel = clock.after(watchTiming.silence, giveUp)
      }
      for await (const event of jsonLines<WatchEvent<T>>(body, heard)) {
        works()
        version = this.take(event) ?? version
      }
    } catch (error) {
      throw silent.signal.aborted ? silent.signal.reason : error
    } finally {
      cancel()
      body.destroy()
    }
    if (silent.signal.aborted) throw silent.signal.reason
    return version
  }

  private take(event: WatchEvent<T>): string | undefined {
    if (event.type === 'ERROR') {
      const { code = 500, reason = '', message = 'the watch failed' } = event.object as KubeStatus
      throw new KubeError(code, reason, message)
    }
    const object = event.object as T
    if (event.type === 'ADDED' || event.type === 'MODIFIED') this.set(object)
    else if (event.type === 'DELETED') {
      // The last state travels with the event: it says how it ended.
      this.set(object)
      this.gone(uidOf(object))
    }
    return object.metadata?.resourceVersion
  }

  private set(object: T): void {
    const uid = uidOf(object)
    if (this.dead.has(uid)) return
    const before = this.items.get(uid)
    if (before && !isNewer(object, before)) return
    this.items.set(uid, object)
    this.parts.changed({ kind: 'set', object, before })
    for (const call of this.followers.get(uid) ?? []) call()
  }

  private drop(uid: string, before: T): void {
    this.items.delete(uid)
    this.parts.changed({ kind: 'gone', object: before, before })
    for (const call of this.followers.get(uid) ?? []) call()
  }

  private heard(): void {
    this.contact = this.parts.clock.now()
  }
}

function uidOf(object: KubeObject): string {
  return object.metadata?.uid ?? ''
}

/** Versions are numbers in practice; where they are not, any other version is newer. */
function isNewer(object: KubeObject, than: KubeObject): boolean {
  const [a, b] = [object.metadata?.resourceVersion ?? '', than.metadata?.resourceVersion ?? '']
  if (/^\d{1,15}$/.test(a) && /^\d{1,15}$/.test(b)) return Number(a) > Number(b)
  return a !== b
}
