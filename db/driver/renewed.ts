/**
 * A client of postgres.js that is replaced as a whole when it loses a connection. What 3.4.9 does with one that is lost cannot be relied on: a write that
 * was to come when its socket closed keeps it from ever sending again (each use ends in CONNECT_TIMEOUT); a statement that it was given between the error
 * and the end of its socket is never answered, or with what the next connection says first; and that one's first statement is told how the last one
 * ended. So what is under way on a lost connection is rejected, and whoever comes next has a new client; what else the old one has to do may end there.
 */
import type postgres from 'postgres'

/** Milliseconds until the old one takes no more, and as many until what is then still under way is broken off. */
const graceMs = 60_000

export interface Client {
  sql: postgres.Sql
  /** For the `onexecute` of statements. */
  onexecute(connection: object): true
}
export interface Renewed {
  current(): Client
  end: postgres.Sql['end']
}
/** `onclose` is told of each connection that ended. */
export type Open = (options: { onclose?(id: number): void }) => postgres.Sql

interface Statement {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** postgres.js's connection, as a query's `onexecute` gets it. */
interface Connection {
  id: number
  execute(statement: Statement): boolean
}

/** `eachConnection`, once per client, is shown the connections of statements too. */
export function renewed(open: Open, eachConnection: () => (connection: object) => void): Renewed {
  /** Those that were replaced, and what will end them. */
  const old = new Map<postgres.Sql, ReturnType<typeof setTimeout>>()
  let current: Client | null = null
  let ended = false

  function make(): Client {
    const underWay = new Map<number, Set<Statement>>()
    const each = eachConnection()
    const made: Client = {
      sql: open({
        onclose(id) {
          const lost = underWay.get(id)
          // It never came about: whoever asked has been told, and the next is dialled later and later.
          if (!lost) return
          for (const statement of lost) statement.reject(connectionLost())
          if (current === made && !ended) replace(made)
        },
      }),
      onexecute(given) {
        const connection = given as Connection
        if (!underWay.has(connection.id)) underWay.set(connection.id, watch(connection))
        each(given)
        return true
      },
    }
    return made
  }

  function replace({ sql }: Client): void {
    current = make()
    // What its user has set, drizzle's ways to read and write a type among it.
    Object.assign(current.sql.options.parsers, sql.options.parsers)
    Object.assign(current.sql.options.serializers, sql.options.serializers)
    const breakOff = () => void sql.end({ timeout: graceMs / 1000 }).then(() => old.delete(sql))
    old.set(sql, setTimeout(breakOff, graceMs))
  }

  current = make()
  return {
    current: () => current!,
    async end(options) {
      ended = true
      for (const timer of old.values()) clearTimeout(timer)
      await Promise.all([current!.sql, ...old.keys()].map(each => each.end(options)))
    },
  }
}

/** The statements that it was given and has not answered. */
function watch(connection: Connection): Set<Statement> {
  const unanswered = new Set<Statement>()
  const { execute } = connection
  connection.execute = statement => {
    const { resolve, reject } = statement
    unanswered.add(statement)
    statement.resolve = value => {
      unanswered.delete(statement)
      resolve(value)
    }
    statement.reject = error => {
      unanswered.delete(statement)
      reject(error)
    }
    return execute(statement)
  }
  return unanswered
}

const connectionLost = () => Object.assign(new Error('the connection to the database was lost'), { code: 'CONNECTION_CLOSED' })
