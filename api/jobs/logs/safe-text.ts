/**
 * Bytes that anybody wrote -> text that may be shown to people: no byte is lost to the eye that means something, none does anything to a terminal.
 * Colours stay (they are only colours); cursor movements, titles, clipboard and link sequences, other control characters and direction overrides
 * go; what is not UTF-8 becomes U+FFFD.
 */

/** An escape sequence longer than this is taken for garbage. */
const longestSequence = 4096

const esc = '\\u001b'
const unsafe = new RegExp(
  [
    // Kept as they are: colours.
    `(${esc}\\[[0-9;:]*m)`,
    `${esc}\\[[0-?]*[ -/]*[@-~]`,
    `${esc}\\][^\\u0007\\u001b]{0,${longestSequence}}(?:\\u0007|${esc}\\\\)`,
    `${esc}[PX^_][^\\u001b]{0,${longestSequence}}${esc}\\\\`,
    `${esc}[ -/]*[0-~]?`,
    '[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]',
  ].join('|'),
  'g',
)

export function safeText(text: string): string {
  return text.replace(unsafe, (_, colour?: string) => colour ?? '')
}

/** A sequence that has begun and may still become one, at the end of what there is. */
const unfinished = new RegExp(
  `^(?:${esc}[ -/]*|${esc}\\[[0-?]*[ -/]*|${esc}\\][^\\u0007\\u001b]*${esc}?|${esc}[PX^_][^\\u001b]*${esc}?)$`,
)
const finished = new RegExp(
  `^(?:${esc}\\[[0-?]*[ -/]*[@-~]|${esc}\\][^\\u0007\\u001b]*(?:\\u0007|${esc}\\\\)|${esc}[PX^_][^\\u001b]*${esc}\\\\|${esc}[ -/]*[0-~])`,
)

/** How many of these bytes may be shown by themselves: a character or sequence that the next bytes will finish waits for them. */
export function showable(bytes: Uint8Array): number {
  const end = wholeCharacters(bytes)
  const from = Math.max(0, end - longestSequence)
  const text = latin1(bytes.subarray(from, end))
  for (let at = text.indexOf('\u001b'); at >= 0; ) {
    const rest = text.slice(at)
    if (unfinished.test(rest)) return from + at
    at = text.indexOf('\u001b', at + (finished.exec(rest)?.[0].length ?? 1))
  }
  return end
}

function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    const wanted = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? (byte < 0xf0 ? 3 : 1) : byte >= 0xc0 ? 2 : 1
    return wanted > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}
