/** What a person sees, as a number: how much of a picture has a colour; and waiting until it is so. */
import { PNG } from 'pngjs'

export type Colour = readonly [red: number, green: number, blue: number]

/** Share (0 to 1) of a PNG's pixels within a small distance of a colour. */
export function share(png: Uint8Array, colour: Colour): number {
  const { data, width, height } = PNG.sync.read(Buffer.from(png))
  let near = 0
  for (let at = 0; at < data.length; at += 4) if (colour.every((part, n) => Math.abs(data[at + n]! - part) < 12)) near++
  return near / (width * height)
}

/** A page of one colour, as an address. */
export const painted = (colour: Colour) => `data:text/html,<body style="margin:0;background:rgb(${colour})">`

export async function until(what: string, check: () => Promise<boolean>, seconds = 60): Promise<void> {
  const last = performance.now() + seconds * 1000
  while (!(await check())) {
    if (performance.now() > last) throw new Error(`not in ${seconds} s: ${what}`)
    await new Promise(done => setTimeout(done, 100))
  }
}
