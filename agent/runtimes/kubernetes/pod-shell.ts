/**
 * A shell in a container of a pod, over the API server's exec WebSocket (v4.channel.k8s.io): messages carry a channel byte, 0 in, 1 out, 3 how it ended,
 * 4 size. The server only hangs up when that connection ends, which what was sent to the background survives: so everything started in it carries
 * its id in the environment, and a second exec ends what is left.
 */
import { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { DialError, type Shell, type ShellOrder } from '../runtime.ts'
import { adoptEnvironment, chooseShell, endTerminalProcesses } from '../shell-script.ts'
import type { KubeClient } from './kube-client.ts'
import type { KubeError } from './kube-error.ts'
import type { KubeStatus } from './wire.ts'

const channel = { in: 0, out: 1, status: 3, size: 4 } as const
const protocol = 'v4.channel.k8s.io'
const ready = '\x1eready\x1e'
const greetingMs = 15_000
const pingMs = 30_000
const endingMs = 10_000
const largestPiece = 32 * 1024

/**
 * `$1`: its id; `$2`: the shell that was asked for. A session's own programs have what people know as its environment (DISPLAY, HOME, env): the shell takes
 * it from one of them where it can.
 */
const opening = String.raw`${adoptEnvironment(`'XDG_RUNTIME_DIR=/run/porthole'`)}
export TERM=xterm-256color COLORTERM=truecolor PORTHOLE_TERMINAL="$1"
${chooseShell('"$2"')}
[ -n "$HOME" ] && cd "$HOME" 2>/dev/null
export SHELL="$shell"
stty sane 2>/dev/null
printf '\036ready\036'
exec "$shell"`

export interface PodPlace {
  namespace: string
  pod: string
  container: string
  /** Whose rights it is entered with; absent: our own. */
  as?: string
}

export async function podShell(client: KubeClient, place: PodPlace, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
  const command = ['/bin/sh', '-c', opening, 'sh', order.terminal, order.shell ?? '']
  const ws = await client.upgrade(execPath(place, command, true), protocol, signal, place.as).catch(error => {
    throw refusal(error as KubeError)
  })
  const end = () => endProcesses(client, place, order.terminal)
  const shell = new PodShell(ws, end)
  const abort = () => ws.terminate()
  signal.addEventListener('abort', abort, { once: true })
  try {
    shell.resize(order.cols, order.rows)
    await shell.greeted
  } catch (error) {
    void shell.end()
    signal.throwIfAborted()
    if (shell.exitCode === 126)
      throw new DialError(422, 'invalid', `this container has no shell ${JSON.stringify(order.shell ?? 'sh')}`)
    throw new DialError(501, 'unsupported', `no shell can be opened in container ${place.container}: ${(error as Error).message}`)
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return shell
}

class PodShell implements Shell {
  readonly stream: Duplex
  readonly ended: Promise<{ exitCode: number | null; reason: string }>
  /** Rejects when it ends before a shell runs. */
  readonly greeted: Promise<void>
  exitCode: number | null = null
  private readonly ws: WebSocket
  private readonly endProcesses: () => Promise<void>
  private readonly pings: NodeJS.Timeout
  private greeting = ''
  private isGreeted = false
  private trouble = 'The pod is gone, or the way to it was cut.'
  private ending: Promise<void> | null = null

  constructor(ws: WebSocket, endProcesses: () => Promise<void>) {
    this.ws = ws
    this.endProcesses = endProcesses
    const greeted = Promise.withResolvers<void>()
    this.greeted = greeted.promise
    this.greeted.catch(() => {})
    const closed = new Promise<void>(resolve => ws.once('close', () => resolve()))
    const late = setTimeout(() => ws.terminate(), greetingMs)
    this.pings = setInterval(() => ws.readyState === ws.OPEN && ws.ping(), pingMs)
    this.stream = new Duplex({
      allowHalfOpen: false,
      read: () => ws.resume(),
      write: (chunk: Buffer, _encoding, done) => this.type(chunk, done),
      final: done => done(),
    })
    ws.on('error', () => {})
    ws.on('message', (data: Buffer) => {
      if (data[0] === channel.status) return this.hearStatus(data.subarray(1).toString())
      if (data[0] !== channel.out || data.length === 1) return
      const bytes = this.isGreeted ? data.subarray(1) : this.greet(data.subarray(1), greeted.resolve)
      if (bytes.length > 0 && !this.stream.push(bytes) && !this.ending) ws.pause()
    })
    this.ended = closed.then(() => {
      clearTimeout(late)
      clearInterval(this.pings)
      greeted.reject(new Error(this.trouble))
      this.stream.push(null)
      const exitCode = this.ending ? null : this.exitCode
      return { exitCode, reason: exitCode === null ? this.trouble : `It ended with exit code ${exitCode}.` }
    })
    void this.greeted.then(
      () => clearTimeout(late),
      () => {},
    )
    if (ws.isPaused) ws.resume()
  }

  resize(cols: number, rows: number): void {
    this.send(channel.size, Buffer.from(JSON.stringify({ Width: cols, Height: rows })))
  }

  end(): Promise<void> {
    this.ending ??= this.finish()
    return this.ending
  }

  private async finish(): Promise<void> {
    // A paused socket hears no goodbye.
    this.ws.resume()
    await this.endProcesses().catch(() => {})
    this.ws.terminate()
    await this.ended
  }

  private type(chunk: Buffer, done: () => void): void {
    for (let at = 0; at < chunk.length; at += largestPiece) {
      const last = at + largestPiece >= chunk.length
      this.send(channel.in, chunk.subarray(at, at + largestPiece), last ? done : undefined)
    }
    if (chunk.length === 0) done()
  }

  private send(to: number, bytes: Buffer, done?: () => void): void {
    const framed = Buffer.allocUnsafe(bytes.length + 1)
    framed[0] = to
    bytes.copy(framed, 1)
    this.ws.send(framed, { binary: true, compress: false }, () => done?.())
  }

  /** What comes before the marker is not the shell's. */
  private greet(bytes: Buffer, isThere: () => void): Buffer {
    this.greeting += bytes.toString('latin1')
    const at = this.greeting.indexOf(ready)
    if (at < 0) return Buffer.alloc(0)
    this.isGreeted = true
    isThere()
    return Buffer.from(this.greeting.slice(at + ready.length), 'latin1')
  }

  private hearStatus(text: string): void {
    try {
      const status = JSON.parse(text) as KubeStatus
      if (status.status === 'Success') this.exitCode = 0
      else if (status.reason === 'NonZeroExitCode') {
        const cause = status.details?.causes?.find(each => each.reason === 'ExitCode')
        this.exitCode = Number(cause?.message)
      } else this.trouble = (status.message ?? this.trouble).slice(0, 300)
    } catch {
      this.trouble = text.slice(0, 300)
    }
  }
}

/** The second exec; without it a shell that cannot be reached any more still gets its hang-up. */
async function endProcesses(client: KubeClient, place: PodPlace, id: string): Promise<void> {
  const command = ['/bin/sh', '-c', endTerminalProcesses, 'sh', id]
  const ws = await client.upgrade(execPath(place, command, false), protocol, AbortSignal.timeout(endingMs), place.as)
  const late = setTimeout(() => ws.terminate(), endingMs)
  const closed = new Promise<void>(resolve => ws.once('close', () => resolve()))
  ws.on('error', () => {})
  ws.resume()
  await closed
  clearTimeout(late)
}

function execPath({ namespace, pod, container }: PodPlace, command: string[], terminal: boolean): string {
  const query = new URLSearchParams({
    container,
    stdout: 'true',
    ...(terminal ? { stdin: 'true', tty: 'true' } : { stderr: 'true' }),
  })
  for (const word of command) query.append('command', word)
  return `/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query}`
}

function refusal(error: KubeError): Error {
  if (error.status === 403)
    return new DialError(403, 'forbidden', 'the agent may not open shells here (value rbac.exec of its chart)')
  if (error.status === 404) return new DialError(503, 'target_gone', 'the pod is gone')
  return new DialError(502, 'target_refused', `the API server refused the shell: ${error.message.slice(0, 300)}`)
}
