/**
 * Answers that hold a secret are kept sealed with a key made from the caller's own secret, which is stored nowhere: who has a copy of the
 * database cannot open them, the caller who repeats a request can. Callers' secrets are 256 random bits, so no stretching is needed.
 */
const info = new TextEncoder().encode('porthole idempotent answer')

async function keyFrom(secret: string, place: string) {
  const encode = (text: string) => new TextEncoder().encode(text)
  const root = await crypto.subtle.importKey('raw', encode(secret), 'HKDF', false, ['deriveKey'])
  const derivation = { name: 'HKDF', hash: 'SHA-256', salt: encode(place), info }
  return crypto.subtle.deriveKey(derivation, root, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
}

/** `place`: what the answer belongs to; it cannot be opened elsewhere. */
export async function seal(text: string, secret: string, place: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const key = await keyFrom(secret, place)
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, new TextEncoder().encode(text))
  return `${toBase64(iv)}.${toBase64(new Uint8Array(sealed))}`
}

/** null: not sealed with this secret. */
export async function unseal(sealed: string, secret: string, place: string): Promise<string | null> {
  const [iv, data] = sealed.split('.')
  try {
    const key = await keyFrom(secret, place)
    const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: fromBase64(iv ?? '') }, key, fromBase64(data ?? ''))
    return new TextDecoder().decode(opened)
  } catch {
    return null
  }
}

function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), char => char.charCodeAt(0))
}
