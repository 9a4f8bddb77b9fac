/** JSON lines on stderr. */
import { linesLog } from '../json-log.ts'
import type { Log } from '../platform.ts'

/** `write` takes whole lines. */
export function jsonLog(write: (line: string) => void = line => void process.stderr.write(line)): Log {
  return linesLog(line => write(`${line}\n`))
}
