/**
 * Lets every statement be prepared once per connection. An unprepared one with parameters costs two round trips each time (describe, then run) and is
 * parsed and planned anew; a prepared one costs one. drizzle sends all through `unsafe`, which postgres.js leaves unprepared unless told.
 */
import type postgres from 'postgres'
import { lastUsedFirst } from './last-used-first.ts'
import { pipelined, type Work } from './pipelined.ts'

/** Statements with lists of varying length are many; beyond this they are no longer kept. */
const mostStatements = 1_000

export function prepared(client: postgres.Sql): postgres.Sql {
  const known = new Set<string>()
  const keeps = (query: string) => {
    if (known.size < mostStatements) known.add(query)
    return known.has(query)
  }
  // Without parameters postgres.js would send a text to be parsed and planned anew, unless told.
  const kept = (query: string, options: { simple?: boolean } = {}) =>
    options.simple ? options : { simple: false, ...options, prepare: keeps(query), onexecute }
  const onexecute = lastUsedFirst()
  const wrapped = new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name === 'unsafe')
        return (query: string, parameters?: unknown[], options?: { simple?: boolean }) =>
          value.call(target, query, parameters, kept(query, options))
      if (name === 'begin') return (work: Work) => pipelined(wrapped, work)
      return value
    },
  })
  return wrapped
}
