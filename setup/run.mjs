#!/usr/bin/env node
/**
 * The door of every npm script: `node setup/run.mjs <command> [arguments]`. Plain JavaScript without dependencies, for any Node from 18 on: it brings
 * node_modules in line with package-lock.json, then runs the command's TypeScript on the Node 24 that npm brought along. It stays to pass signals on
 * and leaves as its child left.
 */
import { spawn } from 'node:child_process'
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const commands = {
  start: ['setup/start.ts'],
  api: ['setup/api.ts'],
  agent: ['setup/agent.ts'],
  'dev:edge': ['setup/dev-edge.ts'],
  'edge:prepare': ['api/node/prepare/main.ts'],
  test: ['setup/test.ts'],
  'test:cluster': ['setup/test.ts', '--cluster'],
  check: ['setup/check.ts'],
  bench: ['bench/main.ts'],
  'bench:edge': ['bench/edge/main.ts'],
  porthole: ['cli/main.ts'],
}
const wantedNode = 24
const graceMs = 5000

/** A fault that people read as one line. */
class Told extends Error {}

const say = line => process.stderr.write(`${line}\n`)

/** What of package-lock.json node_modules lacks; npm writes its own record of what it installed as the last thing it does. */
export function missingPackages(root, platform = process.platform, arch = process.arch) {
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const record = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return Object.keys(wanted).filter(path => path)
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  const suits = ({ os, cpu }) => os?.includes(platform) && cpu?.includes(arch)
  // npm drops optional packages without a word when their download fails; the programs that the root itself names are needed where they fit.
  const named = new Set(Object.keys(wanted['']?.optionalDependencies ?? {}).map(name => `node_modules/${name}`))
  return Object.entries(wanted)
    .filter(([path, entry]) => {
      if (!path || entry.link) return false
      if ((entry.optional || entry.devOptional) && !(named.has(path) && suits(entry))) {
        return installed[path] !== undefined && installed[path].version !== entry.version
      }
      return installed[path]?.version !== entry.version || !existsSync(join(root, path, 'package.json'))
    })
    .map(([path]) => path)
}

async function installPackages(root) {
  if (missingPackages(root).length === 0) return
  // Two starts at once: the kernel's lock on the folder itself leaves nothing behind, however the holder ends.
  const folder = openSync(root, 'r')
  try {
    const free = await ends('flock', ['--nonblock', '3'], folder)
    if (free === 1) {
      say('Another start is installing the packages; waiting for it')
      await ends('flock', ['3'], folder)
    }
    if (missingPackages(root).length > 0) await npmInstall(root)
  } finally {
    closeSync(folder)
  }
}

function ends(program, args, fd) {
  return new Promise(resolve => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore', fd] })
    child.on('error', () => resolve(null))
    child.on('exit', resolve)
  })
}

async function npmInstall(root) {
  const dir = process.env.DATA_DIR || join(root, '.porthole')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const log = join(dir, 'npm.log')
  const out = openSync(log, 'w', 0o600)
  const began = Date.now()
  say('Installing the packages of package-lock.json (once, about a minute)')
  const ticking = setInterval(() => say(`  still installing (${Math.round((Date.now() - began) / 1000)} s)`), 10_000)
  let outcome = await npm(['ci'], root, out)
  if (outcome.code !== 0 && /^npm (error|ERR!) code EUSAGE/m.test(readFileSync(log, 'utf8'))) {
    say('  package-lock.json does not tell everything that package.json wants; installing without being strict about it')
    outcome = await npm(['install', '--no-save'], root, out)
  }
  clearInterval(ticking)
  closeSync(out)
  if (outcome.interrupted) process.exit(130)
  if (outcome.error) throw new Told(`npm does not run here (${outcome.error.code}): install it (on Debian: apt-get install npm)`)
  const missing = missingPackages(root)
  if (outcome.code === 0 && missing.length === 0) return say(`Packages installed (${Math.round((Date.now() - began) / 1000)} s)`)
  const said = readFileSync(log, 'utf8').split('\n')
  const fault = said
    .findLast(line => /^npm (error|ERR!) (?!code|errno|A complete log|Run |aliases)\S/.test(line))
    ?.replace(/^npm (error|ERR!) /, '')
  throw new Told(`Installing the packages failed: ${fault ?? `npm left out ${missing[0]}`} (all of it: ${log})`)
}

async function npm(command, root, out) {
  // Under `npm start` this is the very npm that runs us.
  const program = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm']
  const options = [
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--foreground-scripts=false',
  ]
  const [file, ...args] = [...program, ...command, ...options]
  const child = spawn(file, args, { cwd: root, stdio: ['ignore', out, out], detached: true })
  const release = passSignals(child)
  const outcome = await new Promise(resolve => {
    child.on('error', error => resolve({ error }))
    child.on('exit', code => resolve({ code }))
  })
  return { ...outcome, interrupted: release() }
}

/** The Node that runs TypeScript. A machine may have an older one: npm brought ours. */
export function findNode(root, platform = process.platform, arch = process.arch, current = process.versions.node) {
  const pinned = join(root, `node_modules/node-${platform}-${arch}/bin/node`)
  try {
    accessSync(pinned, constants.X_OK)
    return pinned
  } catch {
    if (Number(current.split('.')[0]) >= wantedNode) return process.execPath
    throw new Told(
      `Porthole runs on Node ${wantedNode}; there is none for ${platform}-${arch} among the packages, and this is Node ${current}`,
    )
  }
}

/**
 * The child has a process group of its own, so what a terminal sends to everyone, and npm then once more, reaches it once, from here.
 * Whoever does not end within the grace is killed with all of its group. Returns the end of it, which says whether a signal came.
 */
function passSignals(child) {
  let last = 0
  let deadline
  const pass = signal => {
    if (Date.now() - last < 300) return
    last = Date.now()
    child.kill(signal)
    deadline ??= setTimeout(() => killGroup(child), graceMs - 200)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)
  // npm killed outright tells nobody; what it started has a new parent then.
  const parent = process.ppid
  const watch = process.env.npm_lifecycle_event && setInterval(() => process.ppid !== parent && pass('SIGTERM'), 1000)
  return () => {
    clearTimeout(deadline)
    clearInterval(watch)
    for (const signal of signals) process.off(signal, pass)
    return last > 0
  }
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

async function runEntry(root, [entry, ...fixed], args) {
  const file = join(root, entry)
  if (!existsSync(file)) throw new Told(`${entry} is not there: this checkout is not whole`)
  const node = findNode(root)
  // The kernel tells the child when we are killed outright. Not everywhere is setpriv; then the closed channel has to do.
  const guard = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'TERM', '--'] : []
  const [program, ...line] = [...guard, node, file, ...fixed, ...args]
  const path = [dirname(node), join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
  const child = spawn(program, line, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Compiled code is kept: a third of a second less for each part of every later start.
    env: { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compiled'), ...process.env, PATH: path },
    detached: true,
  })
  child.on('message', message => {
    if (message?.type === 'fatal') say(message.message)
  })
  const release = passSignals(child)
  const { error, code, signal } = await new Promise(resolve => {
    child.on('error', error => resolve({ error }))
    child.on('exit', (code, signal) => resolve({ code, signal }))
  })
  release()
  if (error) throw new Told(`${program} does not run here: ${error.message}`)
  killGroup(child)
  if (signal) process.kill(process.pid, signal)
  return code ?? 1
}

async function main([command, ...args]) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  if (!Object.hasOwn(commands, command ?? ''))
    throw new Told(`usage: node setup/run.mjs <${Object.keys(commands).join('|')}> [arguments]`)
  await installPackages(root)
  return runEntry(root, commands[command], args)
}

/** Runs a command of above and leaves its exit code in the process. */
export async function run(args) {
  try {
    process.exitCode = await main(args)
  } catch (error) {
    if (!(error instanceof Told)) throw error
    say(error.message)
    process.exitCode = 1
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) await run(process.argv.slice(2))
