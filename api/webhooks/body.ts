/** The body of what git servers and scanners send: signed, so read as it came before anything is made of it. */
import { Problem } from '../problem.ts'

/** The bytes themselves, for the signature is over them. */
export async function bodyUpTo(request: Request, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > most) throw new Problem('too_large', `The body is larger than ${most} bytes.`)
    chunks.push(chunk)
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
