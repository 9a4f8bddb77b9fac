/** What `exec` of every runtime must do, tried with real shells in one running session. */
import { expect, test } from 'vitest'
import { DialError, type Runtime, type Shell, type ShellOrder } from './runtime.ts'

export interface ShellLab {
  runtime: Runtime
  session: string
}

/** What a shell wrote so far, waited for by pattern. */
export class ShellReader {
  text = ''
  readonly shell: Shell
  private look: () => void = () => {}

  constructor(shell: Shell) {
    this.shell = shell
    shell.stream.on('data', (chunk: Buffer) => {
      this.text = (this.text + chunk.toString('latin1')).slice(-200_000)
      this.look()
    })
  }

  /** Types a line; resolves with what matched in what came after. */
  async ask(line: string, pattern: RegExp): Promise<RegExpExecArray> {
    this.text = ''
    this.shell.stream.write(`${line}\n`)
    return await this.until(pattern)
  }

  until(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${pattern} did not come; there was: ${JSON.stringify(this.text.slice(-2_000))}`)),
        90_000,
      )
      this.look = () => {
        const found = pattern.exec(this.text)
        if (!found) return
        clearTimeout(late)
        this.look = () => {}
        resolve(found)
      }
      this.look()
    })
  }
}

let made = 0

export function exerciseShells(lab: () => ShellLab): void {
  const order = (part: Partial<ShellOrder> = {}): ShellOrder => ({
    terminal: `trm_lab${process.pid}x${String(++made).padStart(4, '0')}`,
    cols: 91,
    rows: 31,
    ...part,
  })
  const open = async (part?: Partial<ShellOrder>) => {
    const { runtime, session } = lab()
    return new ShellReader(await runtime.exec!(session, order(part), AbortSignal.timeout(90_000)))
  }
  /** How many processes of the session have this in their command line, seen from inside by another shell. */
  const running = async (word: string) => {
    const eyes = await open()
    const [first, rest] = [word.slice(0, 1), word.slice(1)]
    const script = `n=0; for p in /proc/[0-9]*; do case "$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)" in *"${first}""${rest}"*) n=$((n+1));; esac; done; echo count=$n.`
    const found = await eyes.ask(script, /count=(\d+)\./)
    await eyes.shell.end()
    return Number(found[1])
  }

  test('a shell on a terminal of the size that was asked for, in the person’s home', async () => {
    const { shell, ask } = bound(await open())
    expect((await ask('stty size; tty', /(\d+ \d+)\r\n(\/dev\/pts\/\d+)/))[1]).toBe('31 91')
    expect(
      (await ask('echo "at $PWD, $TERM"; test "$PWD" = "$HOME" && echo ho""me', /at .*xterm-256color[\s\S]*home/))[0],
    ).toBeTruthy()
    await shell.end()
  })

  test('a new size reaches the foreground program as SIGWINCH; of many the newest wins', async () => {
    const reader = await open()
    await reader.ask(`sh -c 'trap "stty size; exit" WINCH; echo rea""dy; while :; do sleep 0.1; done'`, /ready/)
    for (let cols = 100; cols < 160; cols++) reader.shell.resize(cols, 50)
    await reader.until(/50 1\d\d/)
    await expect
      .poll(async () => (await reader.ask('stty size', /\d+ \d+/))[0], { timeout: 60_000, interval: 100 })
      .toBe('50 159')
    await reader.shell.end()
  })

  test('Ctrl-C reaches the program, Ctrl-D ends the shell, whose exit code is known', async () => {
    const reader = await open()
    // Said by what is in the foreground already: a shell between two commands may swallow it.
    await reader.ask(`sh -c 'echo be""gun; exec sleep 600'`, /begun/)
    reader.text = ''
    reader.shell.stream.write('\x03')
    await reader.ask('echo after=$?', /after=130/)
    await reader.ask('false; echo do""ne', /done/)
    reader.shell.stream.write('exit 7\n')
    expect((await reader.shell.ended).exitCode).toBe(7)
  })

  test('nothing that was started in it outlives it, wherever it went', async () => {
    const reader = await open()
    const away =
      'setsid sh -c "sleep 98761" </dev/null >/dev/null 2>&1 & nohup sleep 98762 >/dev/null 2>&1 & (sleep 98763 &) ; sleep 0.3; echo sta""rted'
    await reader.ask(away, /started/)
    expect(await running('sleep 9876')).toBeGreaterThanOrEqual(3)
    await reader.shell.end()
    expect((await reader.shell.ended).exitCode).toBeNull()
    expect(await running('sleep 9876')).toBe(0)
  })

  test('what ends by itself leaves nothing behind either', async () => {
    const reader = await open()
    await reader.ask('nohup sleep 98764 >/dev/null 2>&1 & echo sta""rted', /started/)
    reader.shell.stream.write('exit 0\n')
    await reader.shell.ended
    await reader.shell.end()
    expect(await running('sleep 98764')).toBe(0)
  })

  test('who does not read makes it wait, not grow', async () => {
    const reader = await open()
    await reader.ask('echo rea""dy', /ready/)
    reader.shell.stream.pause()
    reader.shell.stream.write('yes 0123456789abcdef\n')
    await expect.poll(() => reader.shell.stream.readableLength, { timeout: 60_000, interval: 100 }).toBeGreaterThan(0)
    const before = process.memoryUsage().rss
    // `yes` writes a gigabyte in this time when nobody stops it.
    for (let look = 0; look < 20; look++) await new Promise(resolve => setTimeout(resolve, 50))
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20)
    reader.shell.stream.resume()
    reader.shell.stream.write('\x03')
    await reader.ask('echo "aft""er"', /after/)
    await reader.shell.end()
  })

  test('bytes pass as they are', async () => {
    const reader = await open()
    await reader.ask('printf "<\\001\\377\\000\\033[31m\\342\\202\\254>"', /<\x01\xff\x00\x1b\[31m\xe2\x82\xac>/)
    await reader.shell.end()
  })

  test('a shell that is not there is refused with its name, as is a session that does not run', async () => {
    const refused = await open({ shell: '/bin/no-such-shell' }).catch(error => error as unknown)
    expect(refused).toBeInstanceOf(DialError)
    expect((refused as DialError).message).toContain('no-such-shell')
    const { runtime } = lab()
    const nowhere = await runtime.exec!('ses_nowhere', order(), AbortSignal.timeout(60_000)).catch(error => error as unknown)
    expect(nowhere).toMatchObject({ status: 503 })
  })
}

function bound(reader: ShellReader) {
  return { shell: reader.shell, ask: reader.ask.bind(reader) }
}
