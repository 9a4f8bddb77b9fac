/** A body laid together into pieces of one size, the last one shorter: what a row holds. At most one of them is in memory. */
export const pieceBytes = 512 * 1024

export async function* inPieces(body: ReadableStream<Uint8Array> | null, size = pieceBytes): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(size)
  let filled = 0
  for await (const part of body ?? []) {
    for (let at = 0; at < part.length; ) {
      const take = Math.min(size - filled, part.length - at)
      piece.set(part.subarray(at, at + take), filled)
      filled += take
      at += take
      if (filled < size) continue
      yield piece.slice()
      filled = 0
    }
  }
  if (filled > 0) yield piece.slice(0, filled)
}
