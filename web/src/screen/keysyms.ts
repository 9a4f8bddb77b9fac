/** X keysyms of characters and of the keys that a browser or a phone keeps for itself. */
export const keysym = {
  backspace: 0xff08,
  tab: 0xff09,
  enter: 0xff0d,
  escape: 0xff1b,
  control: 0xffe3,
  alt: 0xffe9,
  super: 0xffeb,
  f11: 0xffc8,
  f12: 0xffc9,
  left: 0xff51,
  up: 0xff52,
  right: 0xff53,
  down: 0xff54,
} as const

/** Latin-1 keysyms are the code points themselves; the rest of Unicode has its own range. Null: not a key (other control characters). */
export function keysymOf(character: string): number | null {
  const point = character.codePointAt(0)
  if (point === undefined) return null
  if (character === '\n' || character === '\r') return keysym.enter
  if (character === '\t') return keysym.tab
  if (point < 0x20 || (point >= 0x7f && point < 0xa0)) return null
  return point <= 0xff ? point : 0x0100_0000 | point
}

/** What typing this text means, CRLF as one Enter. */
export function keysymsOf(text: string): number[] {
  return [...text.replaceAll('\r\n', '\n')].flatMap(character => keysymOf(character) ?? [])
}
