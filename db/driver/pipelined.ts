/**
 * Transactions without waiting at their ends: the first statements go out behind `begin`, and who knows that no more come sends `commit` behind
 * the last (`committing`). postgres.js waits for the answer to each of the two, a round trip of its own. This is its own `begin` but for that, and so
 * relies on what its pool tells a query that is being sent (its exact version is pinned; pipelined.test.ts is the guard). A transaction whose
 * connection was lost takes no more statements: sent, they would dial anew and run outside of it.
 */
import type postgres from 'postgres'
import type { Tx } from '../client.ts'

type Statement = postgres.PendingQuery<postgres.Row[]> & { handler(statement: Statement): void; reject(error: Error): void }
export type Unsafe = (query: string, parameters?: unknown[], options?: object) => Statement
export type Work = (sql: Handle) => unknown

/** What drizzle asks of a transaction. */
interface Handle {
  unsafe: Unsafe
  savepoint(work: Work): Promise<unknown>
  commit(): Promise<void>
}

/** postgres.js's connection, as a query's `onexecute` gets it. */
interface Connection {
  /** False: it takes no more until it has answered everything. */
  execute(statement: Statement): boolean
  queue: { remove(connection: Connection): void }
  /** Called whenever all is answered, but for the end of the transaction: then the pool has it again. */
  reserved: (() => void) | null
  onclose: ((error: Error) => void) | null
}

/** Of no queue of the pool: nobody else's statements come in between. */
const parked = { remove: () => {} }

/** Words of transactions need no preparing. */
const asText = { simple: true }

/** Sends the commit behind what the transaction has sent. It comes true only if all of that does; nothing more can be sent. */
export function committing(tx: Tx): Promise<void> {
  const { client } = (tx as unknown as { session: { client: Partial<Handle> } }).session
  // A savepoint, and platforms that wait at the ends, commit when their work returns.
  return client.commit?.() ?? Promise.resolve()
}

export async function pipelined(unsafe: Unsafe, work: Work): Promise<unknown> {
  let connection: Connection | null = null
  let ready = true
  let over: Error | null = null
  const waiting: Statement[] = []
  const next = () => {
    ready = true
    while (ready && waiting.length > 0) ready = connection!.execute(waiting.shift()!)
  }
  const taken = Promise.withResolvers<void>()
  const begun = unsafe('begin', [], { simple: true, onexecute }).execute()
  function onexecute(given: Connection) {
    connection = given
    given.queue.remove(given)
    given.queue = parked
    given.reserved = next
    given.onclose = error => {
      over ??= error
      for (const each of waiting.splice(0)) each.reject(error)
    }
    taken.resolve()
  }
  begun.catch((error: Error) => {
    over ??= error
  })
  await Promise.race([taken.promise, begun])
  let ended: Promise<void> | null = null

  function send(query: string, parameters?: unknown[], options?: object): Statement {
    if (over) throw over
    const statement = unsafe(query, parameters, options)
    statement.handler = each => {
      if (ready) ready = connection!.execute(each)
      else waiting.push(each)
    }
    return statement
  }
  let failed: { error: unknown } | null = null
  const end = async (word: 'commit' | 'rollback') => {
    const last = send(word, [], asText)
    over ??= new Error('this transaction has ended')
    const { command } = await last
    // Behind a statement that failed: what it said is the reason.
    if (word === 'commit' && command === 'ROLLBACK') throw failed?.error ?? new Error('the transaction was rolled back')
  }

  let savepoints = 0
  async function scope(work: Work, name?: string): Promise<unknown> {
    let failure: { error: unknown } | null = null
    const handle: Handle = {
      unsafe(...args) {
        const statement = send(...args)
        statement.catch((error: unknown) => {
          failure ??= { error }
          if (!name) failed ??= failure
        })
        return statement
      },
      savepoint: inner => scope(inner, `s${savepoints++}`),
      commit: () => (name ? Promise.resolve() : (ended ??= end('commit'))),
    }
    if (name) await send(`savepoint ${name}`, [], asText)
    try {
      const result = await work(handle)
      if (failure) throw (failure as { error: unknown }).error
      return result
    } catch (error) {
      if (name) await send(`rollback to ${name}`, [], asText)
      throw error
    }
  }

  try {
    const [result] = await Promise.all([scope(work), begun])
    await (ended ?? end('commit'))
    return result
  } catch (error) {
    if (!over) await end('rollback')
    await (ended as Promise<void> | null)?.catch(() => {})
    throw error
  }
}
