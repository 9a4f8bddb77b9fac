/** Installs Debian packages: one line for people at each step, everything apt says into a log file. */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Told } from './config.ts'

export interface AptParts {
  say(line: string): void
  /** Everything that apt says. */
  log: string
  signal: AbortSignal
  /** How a command is run; tests of the decisions replace it. */
  apt?: (args: string[]) => Promise<AptResult>
}

export interface AptResult {
  code: number
  /** Both streams. */
  said: string
}

const install = ['install', '-y', '--no-install-recommends']
const lockPatienceMs = 300_000

export async function aptInstall(packages: string[], parts: AptParts): Promise<void> {
  const { say, signal } = parts
  const apt = parts.apt ?? (args => runApt(args, parts))
  const began = Date.now()
  say(`Installing Debian packages: ${packages.join(' ')}`)
  const known = await apt([...install, '--simulate', ...packages])
  if (known.code !== 0) await update()
  let result = await apt([...install, ...packages])
  if (/dpkg --configure -a/.test(result.said)) {
    say('  an earlier installation was interrupted; finishing that first')
    await run('dpkg', ['--configure', '-a'], parts)
    result = await apt([...install, ...packages])
  }
  // The lists are there, but older than what the mirror still has.
  if (result.code !== 0 && /Failed to fetch|404 +Not Found/.test(result.said) && known.code === 0) {
    await update()
    result = await apt([...install, ...packages])
  }
  if (result.code !== 0) throw new Told(`Installing Debian packages failed: ${fault(result.said)} (all of it: ${parts.log})`)
  say(`  installed (${Math.round((Date.now() - began) / 1000)} s)`)

  async function update(): Promise<void> {
    say('  reading the package lists')
    // DPkg::Lock::Timeout does not cover the lock of the lists.
    for (const deadline = Date.now() + lockPatienceMs; ; ) {
      const { code, said } = await apt(['update'])
      if (code === 0) return
      if (!/Could not get lock/.test(said) || Date.now() > deadline)
        throw new Told(`apt-get update failed: ${fault(said)} (all of it: ${parts.log})`)
      await delay(2000, undefined, { signal })
    }
  }
}

function fault(said: string): string {
  const lines = said.split('\n')
  return (lines.find(line => /^E: /.test(line)) ?? lines.findLast(line => line.trim() !== '') ?? 'it said nothing').replace(
    /^E: /,
    '',
  )
}

function runApt(args: string[], parts: AptParts): Promise<AptResult> {
  const options = ['-q', '-o', `DPkg::Lock::Timeout=${lockPatienceMs / 1000}`, '-o', 'APT::Status-Fd=3', '-o', 'Dpkg::Use-Pty=0']
  return run('apt-get', [...options, ...args], parts)
}

async function run(program: string, args: string[], { say, log, signal }: AptParts): Promise<AptResult> {
  signal.throwIfAborted()
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 })
  const file = createWriteStream(log, { flags: 'a', mode: 0o600 })
  file.write(`\n# ${program} ${args.join(' ')}\n`)
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      DEBIAN_FRONTEND: 'noninteractive',
      HOME: '/root',
    },
  })
  const interrupt = () => child.kill('SIGINT')
  signal.addEventListener('abort', interrupt)
  let said = ''
  let waiting = false
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      file.write(chunk)
      said += chunk
      if (waiting || !/Waiting for cache lock/.test(chunk)) return
      waiting = true
      say('  waiting for another apt-get to finish')
    })
  }
  const steps = new Set<string>()
  createInterface({ input: child.stdio[3] as Readable }).on('line', line => {
    const step = stepOf(line)
    if (step === null || steps.has(step)) return
    steps.add(step)
    say(`  ${step}`)
  })
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', status => resolve(status ?? 1))
    })
    return { code, said }
  } catch (error) {
    throw new Told(`${program} does not run here: ${(error as Error).message}`)
  } finally {
    signal.removeEventListener('abort', interrupt)
    file.end()
    await finished(file)
  }
}

/** apt's machine-readable progress: `dlstatus:…`, `pmstatus:<package>:<percent>:<what>`. */
function stepOf(status: string): string | null {
  const [kind, , , what = ''] = status.split(':')
  if (kind === 'dlstatus') return 'downloading'
  if (kind !== 'pmstatus') return null
  if (/^Unpacking|^Preparing/.test(what)) return 'unpacking'
  return /^Configuring|^Installed/.test(what) ? 'setting up' : null
}

export const readOsRelease = () => readFile('/etc/os-release', 'utf8').catch(() => '')
