/** Taking a client's mask (RFC 6455, 5.3) off bytes where they lie: natively where `bufferutil` is installed, which has no build for every processor. */
import { createRequire } from 'node:module'

type Unmask = (bytes: Buffer, mask: Buffer) => void

export const plainUnmask: Unmask = (bytes, mask) => {
  for (let n = 0; n < bytes.length; n++) bytes[n]! ^= mask[n & 3]!
}

export const unmask: Unmask = native() ?? plainUnmask

function native(): Unmask | null {
  try {
    return (createRequire(import.meta.url)('bufferutil') as { unmask: Unmask }).unmask
  } catch {
    return null
  }
}
