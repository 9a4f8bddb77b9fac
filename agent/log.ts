/** One line per event, for people and for grep: `2026-01-01T00:00:00.000Z info link up epoch=3`. Secrets never go in. */
export type LogFields = Record<string, string | number | boolean | null | undefined>
export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export function createLog(write: (line: string) => void, wall: () => number = Date.now): Log {
  const line =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      const rest = Object.entries(fields)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => ` ${key}=${typeof value === 'string' && /[\s"]/.test(value) ? JSON.stringify(value) : value}`)
      write(`${new Date(wall()).toISOString()} ${level} ${message}${rest.join('')}\n`)
    }
  return { info: line('info'), warn: line('warn'), error: line('error') }
}

/** What went wrong, as a sentence without a stack. */
export function whatFailed(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return whatFailed(error.errors[0])
  if (error instanceof Error) return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
  return String(error)
}
