/** What Postgres said, found under the wrappers of drizzle: for verbs that let a constraint decide a race. */

interface PostgresFault {
  code: string
  constraint_name?: string
  column_name?: string
}

export function postgresFault(error: unknown): PostgresFault | null {
  for (let at = error, depth = 0; at && depth < 5; at = (at as { cause?: unknown }).cause, depth++) {
    const code = (at as { code?: unknown }).code
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return at as PostgresFault
  }
  return null
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  const fault = postgresFault(error)
  return fault?.code === '23505' && fault.constraint_name === constraint
}
