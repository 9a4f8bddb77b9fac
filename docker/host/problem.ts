/** A refusal over HTTP: `{code, detail}` with a status, the same for requests and upgrades. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.name = 'Refusal'
    this.status = status
    this.code = code
  }
  body(): string {
    return JSON.stringify({ code: this.code, detail: this.message })
  }
}

export function asRefusal(cause: unknown): Refusal {
  if (cause instanceof Refusal) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return new Refusal(404, 'not_found', 'there is no such file or folder')
  if (code === 'EACCES' || code === 'EPERM') return new Refusal(403, 'forbidden', 'the session may not do that with this file')
  if (code === 'ENOSPC' || code === 'EDQUOT') return new Refusal(507, 'storage_full', 'there is no space left for files')
  return new Refusal(500, 'internal', message ?? String(cause))
}
