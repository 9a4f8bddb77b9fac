/** Reads FBS 001.001, the format recordings are kept in: blocks of length, bytes padded to four, and milliseconds since the start. */
export interface Frame {
  at: number
  bytes: Uint8Array<ArrayBuffer>
}

const heading = 'FBS 001.001\n'

/** A file may still be growing: a last block that is not whole is left out. Throws for what is no recording. */
export function readFbs(file: Uint8Array<ArrayBuffer>): Frame[] {
  if (new TextDecoder('latin1').decode(file.subarray(0, heading.length)) !== heading) throw new Error('This is not a recording.')
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const frames: Frame[] = []
  for (let start = heading.length; start + 8 <= file.length; ) {
    const length = view.getUint32(start)
    const end = start + 4 + Math.ceil(length / 4) * 4
    if (end + 4 > file.length) break
    frames.push({ at: view.getUint32(end), bytes: file.subarray(start + 4, start + 4 + length) })
    start = end + 4
  }
  return frames
}
