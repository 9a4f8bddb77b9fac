/**
 * Hono's quickest router makes one expression of all paths, but takes none at all if there is one among them that it cannot: a rest of several segments,
 * or a word where others have an id. Such paths, and whatever looks like them, are matched by the router that can, which has all.
 */
import type { Result, Router } from 'hono/router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { TrieRouter } from 'hono/router/trie-router'

/** `/v1/sessions/{id}/files/…`, `/v1/jobs/inspect`. */
const uncommon = /\/files\/|\/inspect$/

export class TwoRouters<T> implements Router<T> {
  readonly name = 'TwoRouters'
  private readonly quick = new RegExpRouter<T>()
  private readonly all = new TrieRouter<T>()

  add(method: string, path: string, handler: T): void {
    this.all.add(method, path, handler)
    if (!uncommon.test(path)) this.quick.add(method, path, handler)
  }

  match(method: string, path: string): Result<T> {
    return (uncommon.test(path) ? this.all : this.quick).match(method, path)
  }
}
