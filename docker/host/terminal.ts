/**
 * A shell on a terminal of its own. Node cannot make a pseudo-terminal, `script` (util-linux) can: it keeps the master and passes bytes between it
 * and our pipes; sizes are set from outside with `stty`. Everything started in it carries its id in the environment, so that also what left
 * its session and its parent is found at the end.
 */
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { WebSocket } from 'ws'
import { Refusal } from './problem.ts'
import { sessionProcesses } from './processes.ts'
import { findProgram } from './program.ts'

export interface TerminalOrder {
  id: string
  shell: string | null
  cols: number
  rows: number
}

const marker = 'PORTHOLE_TERMINAL'
const highWater = 256 * 1024
const lowWater = 64 * 1024
/** Between SIGHUP and SIGKILL. */
const graceMs = 250
const sweepMs = 50
const sweeps = 40

/** `$1`, `$2`: rows, columns; `$3`: the shell. Says over descriptor 3 which terminal it got. */
const opening = `stty sane rows "$1" cols "$2" 2>/dev/null; tty >&3; exec 3>&-; cd "$HOME" 2>/dev/null; SHELL=$3; export SHELL; exec "$3"`

export function readOrder(query: URLSearchParams): TerminalOrder {
  const id = query.get('id') ?? ''
  const size = (name: string, most: number) => Math.min(most, Math.max(1, Math.floor(Number(query.get(name))) || 1))
  if (!/^[\w-]{1,80}$/.test(id)) throw new Refusal(400, 'invalid', 'a terminal needs an id')
  return { id, shell: query.get('shell'), cols: size('cols', 1000), rows: size('rows', 500) }
}

/** The programs it takes; throws what a person should read when one is missing. */
export function terminalPrograms(shell: string | null): { script: string; stty: string; shell: string } {
  const script = findProgram(['script'])
  const stty = findProgram(['stty'])
  if (!script || !stty) throw new Refusal(501, 'unsupported', 'this session has no `script` (util-linux), which terminals need')
  const found = findProgram(shell ? [shell] : ['bash', 'sh'])
  if (!found) throw new Refusal(422, 'invalid', `this session has no shell ${JSON.stringify(shell ?? 'sh').slice(0, 100)}`)
  return { script, stty, shell: found }
}

/** Runs the shell and passes bytes until it or the socket ends; resolves when nothing of it is left. */
export async function runTerminal(
  socket: WebSocket,
  order: TerminalOrder,
  programs: ReturnType<typeof terminalPrograms>,
  env: Record<string, string>,
  active: () => void,
): Promise<void> {
  const line = `set -- ${order.rows} ${order.cols} ${quoted(programs.shell)}; ${opening}`
  const child = spawn(programs.script, ['-q', '-e', '-E', 'always', '-c', line, '/dev/null'], {
    // SHELL is what `script` runs the line with; the person's is set inside.
    env: { ...env, SHELL: '/bin/sh', TERM: 'xterm-256color', COLORTERM: 'truecolor', [marker]: order.id },
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  })
  const { stdin, stdout, stderr } = child
  const said = child.stdio[3] as Readable
  for (const stream of [stdin, stdout, stderr, said]) stream.on('error', () => {})
  const sizes = new Sizes(programs.stty, env)
  said.on('data', (chunk: Buffer) => sizes.device(String(chunk)))
  stderr.resume()

  stdout.on('data', (chunk: Buffer) => {
    socket.send(chunk, { binary: true }, () => {
      if (stdout.isPaused() && socket.bufferedAmount <= lowWater) stdout.resume()
    })
    if (socket.bufferedAmount > highWater) stdout.pause()
  })
  const told = Promise.withResolvers<null>()
  let held: Promise<void> | null = null
  const type = (data: Buffer) => {
    if (stdin.writable && !stdin.write(data)) socket.pause()
  }
  socket.on('message', (data: Buffer, binary: boolean) => {
    if (!binary) {
      const order = readText(data)
      if (order?.type === 'resize') sizes.want(order)
      else if (order?.type === 'end') told.resolve(null)
      return
    }
    active()
    if (!held && !sizes.pending) return type(data)
    // What is typed after a new size finds that size.
    socket.pause()
    const turn = (held ?? Promise.resolve())
      .then(() => sizes.settled())
      .then(() => {
        type(data)
        if (held !== turn) return
        held = null
        if (!stdin.writableNeedDrain) socket.resume()
      })
    held = turn
  })
  stdin.on('drain', () => held ?? socket.resume())
  const left = new Promise<void>(resolve => socket.once('close', () => resolve()))
  // What still holds the pipe after the shell's end is ended by the sweep; only then comes the last byte.
  const exited = new Promise<number | null>(resolve => {
    child.once('error', () => resolve(null))
    child.once('exit', code => resolve(code))
  })
  // Nobody waits for a terminal that never was.
  void exited.then(() => sizes.device(''))
  const drained = new Promise<void>(resolve => child.once('close', () => resolve()))
  socket.resume()

  const code = await Promise.race([exited, told.promise, left.then(() => null)])
  await endAll(order.id, child.pid)
  stdin.destroy()
  if (socket.readyState === socket.OPEN) {
    stdout.resume()
    await Promise.race([drained, left])
    socket.send(JSON.stringify({ type: 'exit', code }), () => socket.close(1000))
  }
  await left
  stdout.destroy()
}

/** The newest size wins; one `stty` at a time. */
class Sizes {
  private path: string | null = null
  private wanted: { cols: number; rows: number } | null = null
  private setting: Promise<void> | null = null
  /** The shell has said where it is, or that it is nowhere. */
  private readonly known = Promise.withResolvers<void>()
  private told = false
  private readonly stty: string
  private readonly env: Record<string, string>

  constructor(stty: string, env: Record<string, string>) {
    this.stty = stty
    this.env = env
  }

  device(said: string): void {
    this.path = /^\/dev\/pts\/\d+$/m.exec(said)?.[0] ?? this.path
    this.told = true
    this.apply()
    this.known.resolve()
  }

  /** A size that was asked for is not in force yet. */
  get pending(): boolean {
    return this.setting !== null || (this.wanted !== null && !this.told)
  }

  want({ cols, rows }: { cols?: unknown; rows?: unknown }): void {
    if (typeof cols !== 'number' || typeof rows !== 'number') return
    this.wanted = { cols, rows }
    this.apply()
  }

  async settled(): Promise<void> {
    if (this.pending && !this.told) await this.known.promise
    while (this.setting) await this.setting
  }

  private apply(): void {
    const { path, wanted } = this
    if (!path || !wanted || this.setting) return
    this.wanted = null
    const args = ['-F', path, 'cols', String(wanted.cols), 'rows', String(wanted.rows)]
    // The kernel tells the foreground program (SIGWINCH) whoever sets it.
    this.setting = new Promise<void>(done => execFile(this.stty, args, { env: this.env }, () => done())).then(() => {
      this.setting = null
      this.apply()
    })
  }
}

function readText(data: Buffer): { type?: unknown; cols?: unknown; rows?: unknown } | null {
  try {
    return JSON.parse(String(data)) as { type?: unknown }
  } catch {
    return null
  }
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** Hangs up, then kills, until nothing that carries the id is left. */
async function endAll(id: string, script: number | undefined): Promise<void> {
  const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
  const signal = (pids: number[], name: NodeJS.Signals) => {
    for (const pid of pids)
      try {
        process.kill(pid, name)
      } catch {}
  }
  const first = processesOf(id, script)
  if (first.length === 0) return
  signal(first, 'SIGHUP')
  signal(first, 'SIGCONT')
  for (let waited = 0; waited < graceMs && processesOf(id, script).length > 0; waited += sweepMs) await pause(sweepMs)
  for (let round = 0; round < sweeps; round++) {
    const rest = processesOf(id, script)
    if (rest.length === 0) return
    signal(rest, 'SIGKILL')
    await pause(sweepMs)
  }
}

function processesOf(id: string, script: number | undefined): number[] {
  const all = sessionProcesses('user')
  const ours = new Set<number>()
  for (const { pid, parent } of all) {
    if (pid === script || (script !== undefined && parent === script) || carries(pid, id)) ours.add(pid)
  }
  for (let before = -1; before !== ours.size; ) {
    before = ours.size
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid)
  }
  ours.delete(process.pid)
  return [...ours]
}

function carries(pid: number, id: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${marker}=${id}`)
  } catch {
    return false
  }
}
