/**
 * Secrets at rest (registry passwords, hook keys, job secrets): AES-256-GCM under a key that is in the configuration, never in the database. Who has
 * a copy of the database has nothing. Each value is bound to its place (`registries/reg_1`), so a row's secret cannot be moved to another row.
 *
 *   const sealed = await sealingOf(ctx.config).seal(password, `registries/${id}`)
 *
 * The first key seals; all of them open, so a key is replaced by putting the new one in front.
 */
import type { ApiConfig } from './config.ts'
import { Problem } from './problem.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const format = /^v1\.([0-9a-f]{16})\.([A-Za-z0-9+/=]{16})\.([A-Za-z0-9+/=]+)$/

export class CannotOpen extends Error {}

type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>
interface Key {
  id: string
  key: CryptoKey
}

export class Sealing {
  private readonly keys: Promise<Key[]>
  constructor(secrets: readonly string[]) {
    if (secrets.length === 0) throw new Error('no key to seal with')
    this.keys = Promise.all(secrets.map(importKey))
    // Whoever seals or opens hears of it.
    this.keys.catch(() => {})
  }

  async seal(text: string, place: string): Promise<string> {
    const [first] = await this.keys
    const iv = crypto.getRandomValues(new Uint8Array(12))
    const algorithm = { name: 'AES-GCM', iv, additionalData: encode(place) }
    const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, first!.key, encode(text)))
    return `v1.${first!.id}.${toBase64(iv)}.${toBase64(sealed)}`
  }

  /** Rejects with CannotOpen: another key, another place, or not what was sealed. */
  async open(sealed: string, place: string): Promise<string> {
    const [, id, iv, data] = format.exec(sealed) ?? []
    const found = (await this.keys).find(key => key.id === id)
    if (!found) throw new CannotOpen('sealed with a key that is not configured')
    try {
      const algorithm = { name: 'AES-GCM', iv: fromBase64(iv!), additionalData: encode(place) }
      return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm, found.key, fromBase64(data!)))
    } catch (cause) {
      throw new CannotOpen('not what was sealed here', { cause })
    }
  }
}

/** Tells keys apart without telling them. */
export async function keyId(secret: string): Promise<string> {
  return (await importKey(secret)).id
}

async function importKey(secret: string): Promise<Key> {
  const root = await crypto.subtle.importKey('raw', encode(secret), 'HKDF', false, ['deriveBits'])
  const derive = async (info: string) => {
    const bits = await crypto.subtle.deriveBits(
      { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: encode(info) },
      root,
      256,
    )
    return new Uint8Array(bits)
  }
  const id = [...(await derive('porthole sealing id')).slice(0, 8)].map(byte => byte.toString(16).padStart(2, '0')).join('')
  const raw = await derive('porthole sealing key')
  return { id, key: await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']) }
}

const made = new WeakMap<ApiConfig, Sealing>()

/** The installation's. An installation without a key keeps no secrets. */
export function sealingOf(config: ApiConfig): Sealing {
  if (config.secretsKeys.length === 0) {
    throw new Problem('unavailable', 'This installation has no usable SECRETS_KEY: it cannot keep secrets.')
  }
  const known = made.get(config) ?? new Sealing(config.secretsKeys)
  made.set(config, known)
  return known
}

function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(text), char => char.charCodeAt(0))
  if (toBase64(bytes) !== text) throw new Error('not base64 as we write it')
  return bytes
}
