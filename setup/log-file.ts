/** What a part writes, kept in a file that cannot grow without end: at its limit it becomes `<name>.1` and a new one begins. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { Writable } from 'node:stream'

export function logFile(path: string, limit = 16 << 20): Writable {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let fd = openSync(path, 'a', 0o600)
  let size = fstatSync(fd).size
  return new Writable({
    write(chunk: Buffer, _, done) {
      try {
        if (size > 0 && size + chunk.length > limit) {
          closeSync(fd)
          renameSync(path, `${path}.1`)
          fd = openSync(path, 'a', 0o600)
          size = 0
        }
        size += writeSync(fd, chunk)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
    final(done) {
      closeSync(fd)
      done()
    },
  })
}
