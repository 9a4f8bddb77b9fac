/**
 * Secrets that people and agents hold: `<prefix>-<43 base62 of a CSPRNG><6 base62 CRC32>`. The checksum lets scanners and clients refuse
 * fakes offline; it authenticates nothing. Each kind has its own prefix, so that one can never be used as another.
 * Users: `vnc-sk-proj-{project}-{user}-{secret}{crc}`; project and user are hints, authority comes from the row.
 */
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const userToken = /^vnc-sk-proj-([0-9a-z]{1,32})-([0-9a-z]{1,32})-([0-9A-Za-z]{49})$/
const otherToken = /^vnc-(join|tk|se|st|lk)-([0-9A-Za-z]{49})$/

/** `join`: agent enrolment; `tk`: stream ticket; `se`: dashboard cookie; `st`: data socket key; `lk`: share link. */
export type SecretKind = 'join' | 'tk' | 'se' | 'st' | 'lk'

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

function crc32(text: string): number {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++) crc = (crc >>> 8) ^ crcTable[(crc ^ text.charCodeAt(i)) & 0xff]!
  return (crc ^ 0xffffffff) >>> 0
}

function checksum(text: string): string {
  let value = crc32(text)
  let word = ''
  for (let i = 0; i < 6; i++) {
    word = base62[value % 62] + word
    value = Math.floor(value / 62)
  }
  return word
}

function randomSecret(): string {
  let secret = ''
  while (secret.length < 43) {
    for (const byte of crypto.getRandomValues(new Uint8Array(64))) {
      if (byte < 248 && secret.length < 43) secret += base62[byte % 62]
    }
  }
  return secret
}

/** `prj_abc` -> `abc`: the hint in a token has no `_` and no `-`. */
export function projectHint(projectId: string): string {
  return projectId.replace(/^prj_/, '')
}

export function mintUserToken(projectId: string, userId: string): string {
  const head = `vnc-sk-proj-${projectHint(projectId)}-${userId}-${randomSecret()}`
  return head + checksum(head)
}

export function mintSecret(kind: SecretKind): string {
  const head = `vnc-${kind}-${randomSecret()}`
  return head + checksum(head)
}

/** Hints of a well-formed user token, or null. Says nothing about whether it is known. */
export function readUserToken(token: string): { projectHint: string; user: string } | null {
  if (token.length > 160) return null
  const match = userToken.exec(token)
  if (!match || checksum(token.slice(0, -6)) !== token.slice(-6)) return null
  return { projectHint: match[1]!, user: match[2]! }
}

export function isSecret(kind: SecretKind, secret: string): boolean {
  if (secret.length > 160) return false
  const match = otherToken.exec(secret)
  return match?.[1] === kind && checksum(secret.slice(0, -6)) === secret.slice(-6)
}

/** Compares digests without an early way out. */
export function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}
