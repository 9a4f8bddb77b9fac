/**
 * Lets a pool of postgres.js use the connection again that it used last, not the one that has rested longest: that one's server process has its plans
 * and caches at hand, and fewer of them wake. It relies on how the pool keeps its idle connections (its exact version is pinned; a test is the guard).
 */

/** postgres.js's queue of connections that stand in the same state. */
interface Queue<C> {
  readonly length: number
  push(connection: C): C
  shift(): C | undefined
  remove(connection: C): C | null
}

/** postgres.js's connection, as a query's `onexecute` gets it. */
interface Connection {
  queue: Queue<Connection>
  /** Started whenever the connection has just become idle. */
  idleTimer: { start(): void }
}

/** For the `onexecute` of statements: the first connection that rests shows where idle ones are kept. */
export function lastUsedFirst(): (connection: object) => void {
  let found = false
  const seen = new WeakSet()
  return given => {
    if (found || seen.has(given)) return
    seen.add(given)
    const connection = given as Connection
    const { idleTimer } = connection
    const { start } = idleTimer
    idleTimer.start = () => {
      idleTimer.start = start
      if (!found) stack(connection.queue)
      found = true
      start()
    }
  }
}

function stack(queue: Queue<Connection>): void {
  const kept: Connection[] = []
  while (queue.length > 0) kept.push(queue.shift()!)
  Object.defineProperties(queue, {
    length: { get: () => kept.length },
    push: {
      value(connection: Connection) {
        kept.push(connection)
        return connection
      },
    },
    shift: { value: () => kept.pop() },
    remove: {
      value(connection: Connection) {
        const at = kept.indexOf(connection)
        if (at === -1) return null
        kept.splice(at, 1)
        return connection
      },
    },
  })
}
