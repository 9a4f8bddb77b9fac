/** PNG of an RGBX picture: 8-bit RGB, one filter for all rows, no dependency. */
import { promisify } from 'node:util'
import { crc32, deflate } from 'node:zlib'

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
/** Screens are mostly flat: the cheap level is nearly as small as the best one. */
const level = 3

/** `pixels`: 4 bytes each, red first, the fourth ignored. */
export async function encodePng(pixels: Buffer, width: number, height: number): Promise<Buffer> {
  const stride = width * 3 + 1
  const rows = Buffer.allocUnsafe(stride * height)
  const upFilter = 2
  for (let y = 0, from = 0; y < height; y++) {
    let to = y * stride
    rows[to++] = upFilter
    const above = from - width * 4
    for (let x = 0; x < width; x++, from += 4, to += 3) {
      const up = y === 0 ? -1 : above + x * 4
      rows[to] = pixels[from]! - (up < 0 ? 0 : pixels[up]!)
      rows[to + 1] = pixels[from + 1]! - (up < 0 ? 0 : pixels[up + 1]!)
      rows[to + 2] = pixels[from + 2]! - (up < 0 ? 0 : pixels[up + 2]!)
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const data = await promisify(deflate)(rows, { level })
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(named.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(named, 4)
  framed.writeUInt32BE(crc32(named) >>> 0, named.length + 4)
  return framed
}
