/**
 * Lets every statement be prepared once per connection. An unprepared one with parameters costs two round trips each time (describe, then run) and is
 * parsed and planned anew; a prepared one costs one. drizzle sends all through `unsafe`, which postgres.js leaves unprepared unless told.
 */
import type postgres from 'postgres'
import { lastUsedFirst } from './last-used-first.ts'
import { pipelined, type Unsafe, type Work } from './pipelined.ts'
import { type Client, type Open, renewed } from './renewed.ts'

/** Statements with lists of varying length are many; beyond this they are no longer kept. */
const mostStatements = 1_000

type Seen = (connection: object) => unknown
interface Options {
  simple?: boolean
  onexecute?: Seen
}

export function prepared(open: Open): postgres.Sql {
  const known = new Set<string>()
  const keeps = (query: string) => {
    if (known.size < mostStatements) known.add(query)
    return known.has(query)
  }
  const { current, end } = renewed(open, lastUsedFirst)
  // Listening has a connection of its own, which dials and listens again by itself.
  const listening = open({})

  const unsafe =
    (client: () => Client) =>
    (query: string, parameters?: unknown[], options: Options = {}) => {
      const { sql, onexecute } = client()
      const seen = options.onexecute ? both(onexecute, options.onexecute) : onexecute
      // Without parameters postgres.js would send a text to be parsed and planned anew, unless told.
      const kept = options.simple ? options : { simple: false, ...options, prepare: keeps(query) }
      return sql.unsafe<postgres.Row[]>(query, parameters as never[], { ...kept, onexecute: seen } as object)
    }

  const own: Partial<Record<string | symbol, unknown>> = {
    unsafe: unsafe(current),
    // All of a transaction belongs to the client that it began with.
    begin(work: Work) {
      const client = current()
      return pipelined(unsafe(() => client) as Unsafe, work)
    },
    listen: listening.listen,
    end: async (options?: { timeout?: number }) => void (await Promise.all([end(options), listening.end(options)])),
  }
  const wrapped = new Proxy(listening, {
    get: (_, name) => own[name] ?? Reflect.get(current().sql, name),
    apply: (_, self, args) => Reflect.apply(current().sql, self, args),
  })
  return wrapped
}

const both =
  (one: Seen, other: Seen): Seen =>
  connection => {
    one(connection)
    return other(connection)
  }
