/**
 * A shell in the sandbox of a running job: the agent enters it from outside and becomes the job's user. `script` (util-linux) makes the pseudo-terminal and
 * passes bytes between it and our pipes; sizes are set with `stty`. Everything started in it carries its id, and is ended by that from inside, where
 * the job's user sees nothing but its own.
 */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { DialError, type Shell, type ShellOrder } from '../../runtime.ts'
import { adoptEnvironment, chooseShell, endTerminalProcesses } from '../../shell-script.ts'

export interface JobShellParts {
  /** What goes before a command so that it runs inside, as the job's user. */
  way: string[]
  programs: { script: string; stty: string }
  /** `NAME=value` in the environment of the job's own processes. */
  mark: string
  env: Record<string, string>
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

const endingMs = 10_000
const lastWordsMs = 1_000

/** `$1`, `$2`: rows, columns; `$3`: the shell that was asked for; `$4`: the id. Says over descriptor 3 which terminal it got. */
const openingOf = (mark: string) => `${adoptEnvironment(`'${mark}'`)}
export TERM=xterm-256color COLORTERM=truecolor PORTHOLE_TERMINAL="$4"
${chooseShell('"$3"')}
stty sane rows "$1" cols "$2" 2>/dev/null
tty >&3; exec 3>&-
cd "$HOME" 2>/dev/null
SHELL=$shell; export SHELL
exec "$shell"`

export async function jobShell(parts: JobShellParts, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
  const { way, programs, mark, env } = parts
  const words = [order.rows, order.cols, order.shell ?? '', order.terminal].map(word => quoted(String(word)))
  const line = `set -- ${words.join(' ')}\n${openingOf(mark)}`
  const [program, ...args] = [...way, programs.script, '-q', '-e', '-E', 'always', '-c', line, '/dev/null']
  const child = spawn(program!, args, {
    cwd: '/',
    // SHELL is what `script` runs the line with; the person's is set inside.
    env: { ...env, SHELL: '/bin/sh', PORTHOLE_TERMINAL: order.terminal },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  })
  const shell = new JobShell(child as unknown as Child, parts, order.terminal)
  const abort = () => void shell.end()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await shell.greeted
  } catch (error) {
    await shell.end()
    signal.throwIfAborted()
    if (child.exitCode === 126)
      throw new DialError(422, 'invalid', `this machine has no shell ${JSON.stringify(order.shell ?? 'sh')}`)
    throw new DialError(502, 'target_refused', `the job's sandbox cannot be entered: ${(error as Error).message}`)
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return shell
}

class JobShell implements Shell {
  readonly stream: Duplex
  readonly ended: Promise<{ exitCode: number | null; reason: string }>
  /** Rejects when it ends before a shell runs. */
  readonly greeted: Promise<void>
  private readonly child: Child
  private readonly parts: JobShellParts
  private readonly terminal: string
  private readonly closed: Promise<unknown>
  private device: string | null = null
  private wanted: { cols: number; rows: number } | null = null
  private setting: Promise<void> | null = null
  private ending: Promise<void> | null = null

  constructor(child: Child, parts: JobShellParts, terminal: string) {
    this.child = child
    this.parts = parts
    this.terminal = terminal
    const { stdin, stdout, stderr } = child
    const said = child.stdio[3] as unknown as Readable
    for (const stream of [stdin, stdout, stderr, said]) stream.on('error', () => {})
    let fault = ''
    stderr.on('data', chunk => {
      fault = (fault + String(chunk)).slice(-300)
    })
    const greeted = Promise.withResolvers<void>()
    this.greeted = greeted.promise
    this.greeted.catch(() => {})
    said.on('data', (chunk: Buffer) => {
      this.device = /^\/dev\/pts\/\d+$/m.exec(String(chunk))?.[0] ?? this.device
      if (this.device) greeted.resolve()
      this.applySize()
    })
    this.closed = once(child, 'close').catch(() => {})
    const exited = new Promise<number | null>(resolve => {
      child.once('error', error => {
        fault = error.message
        resolve(null)
      })
      child.once('exit', resolve)
    })
    this.stream = new Duplex({
      allowHalfOpen: false,
      read: () => stdout.resume(),
      write: (chunk: Buffer, _encoding, done) => void this.sized().then(() => stdin.write(chunk, () => done())),
      final: done => done(),
    })
    stdout.on('data', (chunk: Buffer) => {
      if (!this.stream.push(chunk) && !this.ending) stdout.pause()
    })
    stdout.once('close', () => this.stream.push(null))
    this.ended = exited.then(code => {
      greeted.reject(new Error(fault.trim() || `its shell ended (${code ?? 'by a signal'})`))
      const exitCode = this.ending ? null : code
      return { exitCode, reason: exitCode === null ? 'The job has ended.' : `It ended with exit code ${exitCode}.` }
    })
  }

  resize(cols: number, rows: number): void {
    this.wanted = { cols, rows }
    this.applySize()
  }

  end(): Promise<void> {
    this.ending ??= this.finish()
    return this.ending
  }

  private async finish(): Promise<void> {
    const { child, terminal } = this
    await this.inside(['/bin/sh', '-c', endTerminalProcesses, 'sh', terminal], endingMs)
    // What still holds the pipe was ended: the last byte may come.
    child.stdout.resume()
    const late = AbortSignal.timeout(lastWordsMs)
    await Promise.race([this.closed, once(late, 'abort')])
    child.kill('SIGKILL')
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
    await this.ended
  }

  /** The newest size wins; one `stty` at a time. The kernel tells the foreground program. */
  private applySize(): void {
    const { device, wanted } = this
    if (!device || !wanted || this.setting || this.ending) return
    this.wanted = null
    const { cols, rows } = wanted
    const command = [this.parts.programs.stty, '-F', device, 'cols', String(cols), 'rows', String(rows)]
    this.setting = this.inside(command, endingMs).then(() => {
      this.setting = null
      this.applySize()
    })
  }

  /** What is typed after a new size finds that size. */
  private async sized(): Promise<void> {
    while (this.setting) await this.setting
  }

  private inside(command: string[], timeout: number): Promise<void> {
    const [program, ...args] = [...this.parts.way, ...command]
    return new Promise(resolve => {
      execFile(program!, args, { cwd: '/', env: this.parts.env, timeout, killSignal: 'SIGKILL' }, () => resolve())
    })
  }
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
