/**
 * GitHub signs what it reports: ECDSA on P-256 with SHA-256 over the bytes of the body, by one of the keys that it publishes. WebCrypto wants such a
 * signature as two numbers side by side; GitHub sends them as DER.
 */
import { z } from 'zod'

const Published = z.object({
  public_keys: z.array(z.object({ key_identifier: z.string(), key: z.string() })).max(100),
})

/** Asked for again at the earliest: by whoever sends a made-up key, too. */
const rereadMs = 60_000
const answerMs = 5_000

export class PublishedKeys {
  private readonly url: string
  private keys = new Map<string, string>()
  private readAt = Number.NEGATIVE_INFINITY
  /** Not shared between requests (on Workers none may wait for another's), so bounded. */
  private reading = 0
  constructor(url: string) {
    this.url = url
  }

  /** The PEM of a key; null: none of GitHub's. Rejects when its list cannot be had. */
  async pem(identifier: string): Promise<string | null> {
    const known = this.keys.get(identifier)
    if (known !== undefined || performance.now() - this.readAt < rereadMs) return known ?? null
    if (this.reading >= 4) throw new Error('the keys are being read')
    this.reading++
    try {
      await this.read()
    } finally {
      this.reading--
    }
    return this.keys.get(identifier) ?? null
  }

  private async read(): Promise<void> {
    const answer = await fetch(this.url, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(answerMs) })
    if (!answer.ok) throw new Error(`${this.url} answered ${answer.status}`)
    const { public_keys } = Published.parse(await answer.json())
    this.keys = new Map(public_keys.map(each => [each.key_identifier, each.key]))
    this.readAt = performance.now()
  }
}

export async function isSignedBy(pem: string, signature: string, body: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const raw = sideBySide(fromBase64(signature))
  if (!raw) return false
  const spki = fromBase64(pem.replace(/-----[A-Z ]+-----|\s/g, ''))
  if (!spki) return false
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
  return crypto.subtle.verify(algorithm, key, raw, body)
}

/** `SEQUENCE { INTEGER r, INTEGER s }` -> r and s, 32 bytes each; null: not that. */
export function sideBySide(der: Uint8Array | null): Uint8Array<ArrayBuffer> | null {
  if (der?.[0] !== 0x30 || der[1] !== der.length - 2) return null
  const raw = new Uint8Array(64)
  let at = 2
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0
    if (der[at] !== 0x02 || length === 0 || at + 2 + length > der.length) return null
    let number = der.subarray(at + 2, at + 2 + length)
    while (number.length > 32 && number[0] === 0) number = number.subarray(1)
    if (number.length > 32) return null
    raw.set(number, end - number.length)
    at += 2 + length
  }
  return at === der.length ? raw : null
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), char => char.charCodeAt(0))
  } catch {
    return null
  }
}
