/**
 * Connects to a socket file inside a folder that a session can write to. By path that would be a trap: the session could put a link there to a
 * socket it may not reach itself and let the agent knock. So the file is opened without following links, looked at, and reached by its descriptor.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { DialError } from '../runtime.ts'

/** Linux: a descriptor that names a file without opening it. Node has no constant for it. */
const openPathOnly = 0o10000000

export function connectGuarded(path: string, owner: number): Socket {
  let fd: number
  try {
    fd = openSync(path, openPathOnly | constants.O_NOFOLLOW)
  } catch {
    throw new DialError(503, 'target_gone', 'the session is not there (any more)')
  }
  const facts = fstatSync(fd)
  if (!facts.isSocket() || facts.uid !== owner) {
    closeSync(fd)
    throw new DialError(502, 'target_refused', 'the session put something else in the place of its socket')
  }
  const socket = connect({ path: `/proc/self/fd/${fd}` })
  let open = true
  const close = () => {
    if (open) closeSync(fd)
    open = false
  }
  for (const event of ['connect', 'error', 'close']) socket.once(event, close)
  return socket
}
