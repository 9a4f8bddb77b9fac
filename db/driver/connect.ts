/**
 * postgres.js for an address. A Unix socket is named as everywhere else, `postgres://user:password@127.0.0.1:5432/database?host=/folder`: that saves two
 * fifths of a round trip on one machine. postgres.js itself would send `host` to the server.
 */
import postgres from 'postgres'

export function connect(url: string, options: postgres.Options<Record<string, never>>): postgres.Sql {
  const { folder, rest } = socketOf(url)
  if (folder === null) return postgres(url, options)
  const port = new URL(rest).port || '5432'
  return postgres(rest, { ...options, path: `${folder}/.s.PGSQL.${port}` })
}

function socketOf(url: string): { folder: string | null; rest: string } {
  const parsed = new URL(url)
  const folder = parsed.searchParams.get('host')
  if (!folder?.startsWith('/')) return { folder: null, rest: url }
  parsed.searchParams.delete('host')
  return { folder, rest: parsed.href }
}
