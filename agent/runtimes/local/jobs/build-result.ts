/** What a build found out, from the file that it left in its home: written by whoever was in there, so nothing of it is followed or believed in length. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { homeResults, readResults } from '../../build-script.ts'

const largest = 64 * 1024

export async function buildResult(home: string): Promise<Record<string, unknown> | null> {
  const file = await open(join(home, homeResults), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => null,
  )
  if (!file) return null
  try {
    if (!(await file.stat()).isFile()) return null
    const { buffer, bytesRead } = await file.read(Buffer.alloc(largest), 0, largest, 0)
    return readResults(buffer.subarray(0, bytesRead).toString('utf8'))
  } finally {
    await file.close()
  }
}
