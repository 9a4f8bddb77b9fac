/** What a git server sent: whether it is its own, and what was pushed. Pure but for WebCrypto. */
export interface Push {
  branch: string
  commit: string
}

/** Same length, every character looked at: how long it takes says nothing. */
export function equal(a: string, b: string): boolean {
  const [left, right] = [new TextEncoder().encode(a), new TextEncoder().encode(b)]
  let different = left.length ^ right.length
  for (let at = 0; at < left.length; at++) different |= left[at]! ^ (right[at] ?? 0)
  return different === 0
}

export async function isSigned(
  provider: 'github' | 'gitlab',
  secret: string,
  headers: Headers,
  body: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (provider === 'gitlab') return equal(headers.get('x-gitlab-token') ?? '', secret)
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ])
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, body))
  return equal(headers.get('x-hub-signature-256') ?? '', `sha256=${hex(mac)}`)
}

const hex = (bytes: Uint8Array) => [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('')

/** The sender's number of this delivery. What sends none (a script, an old GitLab) is told apart by the body. */
export function deliveryOf(provider: 'github' | 'gitlab', headers: Headers, bodyHash: Uint8Array): string {
  const names =
    provider === 'github' ? ['x-github-delivery'] : ['idempotency-key', 'x-gitlab-webhook-uuid', 'x-gitlab-event-uuid']
  const found = names.map(name => headers.get(name)).find(value => value !== null)
  return found && /^[\w.:-]{1,128}$/.test(found) ? found : `body-${hex(bodyHash)}`
}

/** A sentence: why nothing is to be done. */
export function readPush(provider: 'github' | 'gitlab', headers: Headers, body: unknown): Push | string {
  const event = headers.get(provider === 'github' ? 'x-github-event' : 'x-gitlab-event') ?? ''
  if (event !== (provider === 'github' ? 'push' : 'Push Hook'))
    return `The event ${JSON.stringify(event.slice(0, 60))} begins nothing.`
  const { ref, after } = (typeof body === 'object' && body !== null ? body : {}) as { ref?: unknown; after?: unknown }
  if (typeof ref !== 'string' || !ref.startsWith('refs/heads/')) return 'Not a branch.'
  if (typeof after !== 'string' || !/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(after)) return 'Names no commit.'
  if (/^0+$/.test(after)) return 'The branch was deleted.'
  return { branch: ref.slice('refs/heads/'.length).slice(0, 250), commit: after }
}

export function branchFits(patterns: string, branch: string): boolean {
  return patterns.split(',').some(pattern => {
    const source = pattern
      .split(/(\*\*|\*)/)
      .map(part => (part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[.\\+?^${}()|[\]-]/g, '\\$&')))
      .join('')
    return new RegExp(`^${source}$`).test(branch)
  })
}
