/**
 * Runs a server that must not outlive us. A small shell stands between: its standard input is a pipe that only this process holds, so our end,
 * even by SIGKILL, is an end of file there, which no race can miss; then it interrupts the server until it is gone, and kills it after
 * a second and a half, which loses nothing (WAL). Ending the pipe is also how we stop it. If the shell itself is killed, the kernel interrupts the server.
 */
import { spawn } from 'node:child_process'
import { programEnv } from './identity.ts'

const script = `
exec 3<&0
"$@" 3<&- &
server=$!
(
  read -r done <&3 && exit
  tries=0 how=INT
  while kill -$how $server 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 15 ] || how=KILL
    sleep 0.1
  done
) &
watch=$!
exec 3<&-
wait $server
code=$?
kill $watch 2>/dev/null
exit $code`

export interface Guarded {
  /** Resolves with the exit code when the server has ended, for whatever reason. */
  ended: Promise<number>
  stop(): void
}

/** `prefix` says who the server runs as; it must end in an exec, and so must everything before the server. */
export function guard(prefix: string[], server: string[], cwd: string, logFd: number): Guarded {
  const line = [...prefix, 'setpriv', '--pdeathsig', 'INT', '--', ...server]
  // Detached: Ctrl-C goes to the whole foreground group, and the database must be the last to go.
  const child = spawn('sh', ['-c', script, 'porthole-guardian', ...line], {
    cwd,
    env: programEnv,
    detached: true,
    stdio: ['pipe', logFd, logFd],
  })
  child.stdin!.on('error', () => {})
  const ended = new Promise<number>(resolve => {
    child.once('error', () => resolve(127))
    child.once('exit', (code, signal) => resolve(signal ? 128 : (code ?? 1)))
  })
  return { ended, stop: () => child.stdin!.end() }
}
