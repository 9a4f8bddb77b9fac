/** What this machine offers to sessions, found out once at the agent's start, and how a session's room is furnished before its walls close. */
import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { type CodeCache, codeCacheKey, keepCodeCache, keptCodeCache } from './code-cache.ts'
import { hostSettings } from './host-settings.ts'
import { codeCacheInside, dropTo, insideOf, type Room, wallsCommand } from './isolation.ts'
import { buildCommand, buildPrograms } from './jobs/build-walls.ts'
import { firstIdOf, idsOfOne, mapIds } from './jobs/id-map.ts'
import { findPrograms, type Programs, programVersions } from './programs.ts'
import { makeRuntimeFolder } from './runtime-folder.ts'
import { SessionFolders, type SessionHome } from './session-folders.ts'
import { readableByOthers } from './shared-programs.ts'
import { type Machine, probeWalls } from './walls-probe.ts'

export interface MachineOptions {
  dataDir: string
  node: string
  hostProgram: string
  /** In place of what is found on the machine; null: as if it were not there. */
  programs?: Partial<Programs>
}

/** Like a session's user, but no session's. */
const probeUid = 65_533
const warmPatience = 60_000

export async function openMachine(options: MachineOptions): Promise<LocalMachine> {
  const programs = { ...findPrograms(), ...options.programs }
  const [runtimeFolder, node, versions] = await Promise.all([
    makeRuntimeFolder(),
    realpath(options.node),
    programVersions(programs),
  ])
  const isRoot = process.getuid!() === 0
  try {
    const { dataDir, hostProgram } = options
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const from = createRequire(hostProgram)
    const packages = ['playwright-core', 'ws'].map(name => ({ name, folder: dirname(from.resolve(`${name}/package.json`)) }))
    const reach = (path: string) => (isRoot ? readableByOthers(dataDir, path) : path)
    const modules = await Promise.all(packages.map(async ({ name, folder }) => ({ name, folder: await reach(folder) })))
    const host = join(await reach(dirname(hostProgram)), basename(hostProgram))
    const machine = new LocalMachine(
      { dataDir, node: await reach(node), hostProgram: host, modules },
      programs,
      versions,
      runtimeFolder,
    )
    await machine.open(isRoot)
    return machine
  } catch (cause) {
    await rm(runtimeFolder, { recursive: true, force: true })
    throw cause
  }
}

export class LocalMachine {
  readonly runtimeFolder: string
  readonly versions: Record<string, string>
  readonly kinds: string[]
  readonly browsers: string[]
  readonly features: string[]
  readonly notes: string[] = []
  /** For the wall-building programs themselves; inside, another one counts. */
  readonly outerEnv = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LANG: 'C.UTF-8' }
  folders!: SessionFolders
  /** Images can be built here. */
  builds = false
  private readonly options: MachineOptions & Pick<Room, 'modules'>
  private readonly programs: Programs
  private readonly ending = new AbortController()
  private machine!: Machine
  private cache: CodeCache | null = null
  private warming: Promise<void> | null = null

  constructor(
    options: MachineOptions & Pick<Room, 'modules'>,
    programs: Programs,
    versions: Record<string, string>,
    runtimeFolder: string,
  ) {
    this.options = options
    this.programs = programs
    this.versions = versions
    this.runtimeFolder = runtimeFolder
    const { chromium, xvnc, openbox, script } = programs
    this.browsers = chromium ? ['chromium'] : []
    this.kinds = [...(chromium ? ['browser'] : []), ...(xvnc && openbox ? ['desktop'] : []), ...(xvnc ? ['app'] : [])]
    this.features = [
      'files',
      'logs',
      'ports',
      'screenshot',
      'volumes',
      'warm',
      ...(xvnc ? ['display'] : []),
      ...(script ? ['exec'] : []),
    ]
    this.notes.push('Egress rules are not enforced here: sessions reach whatever this machine reaches (Kubernetes enforces them)')
    this.notes.push('Limits of jobs: memory is held to, cpu is not (Kubernetes holds to both)')
    if (!script) this.notes.push('No terminals: `script` is not installed (Debian package bsdutils)')
    if (!chromium) this.notes.push('No browser sessions: Chromium is not installed (Debian package chromium)')
    if (!xvnc) this.notes.push('Headless sessions only: Xvnc is not installed (Debian package tigervnc-standalone-server)')
    if (xvnc && !openbox) this.notes.push('No desktop sessions: openbox is not installed')
    if (xvnc && chromium && !programs.matchbox)
      this.notes.push('Browser windows do not fill the screen: matchbox-window-manager is not installed')
  }

  async open(isRoot: boolean): Promise<void> {
    const { dataDir, hostProgram } = this.options
    const { room: sample, home } = await this.sampleRoom(isRoot)
    const prepare = async (walls: Machine['walls']) => {
      // Without walls, a session's user comes to its home by its path.
      if (walls.kind === 'plain' && walls.ownUsers) for (const folder of [dataDir, this.runtimeFolder]) await chmod(folder, 0o711)
      const inside = insideOf(walls, sample)
      return [inside.node, inside.hostEntry, inside.home]
    }
    try {
      this.machine = await probeWalls(this.programs, sample, isRoot, prepare)
    } finally {
      await rm(home, { recursive: true, force: true })
    }
    const { walls, notes } = this.machine
    this.notes.push(...notes)
    const noBuilds = await this.tryBuilds(sample, isRoot)
    if (noBuilds === null) this.builds = true
    else this.notes.push(`No builds: ${noBuilds}`)
    if (this.terminalPrograms) this.features.push('exec_jobs')
    else if (this.programs.script)
      this.notes.push('No terminals in jobs: only an agent that runs as root can enter their sandboxes')
    this.folders = await SessionFolders.open(dataDir, walls.ownUsers, walls.kind === 'plain')
    if (walls.kind === 'bubblewrap')
      this.warming = this.warm(sample, await codeCacheKey(hostProgram, this.versions.playwright!)).catch(cause => {
        if (!this.ending.signal.aborted)
          this.notes.push(`Sessions start slower: compiled code cannot be kept (${(cause as Error).message.slice(0, 200)})`)
      })
  }

  /** Throws what a person should read when this machine can never run it. */
  mustSupport(spec: SessionSpec): void {
    const { kinds, browsers, programs } = this
    if (!kinds.includes(spec.kind))
      throw new Error(`this machine cannot run ${spec.kind} sessions: ${this.notes.join('; ') || 'a program is missing'}`)
    if (spec.kind === 'browser' && !browsers.includes(spec.browser ?? 'chromium'))
      throw new Error(`this machine has no ${spec.browser}, only ${browsers.join(', ')}`)
    if (spec.kind === 'app' && !spec.command?.[0]) throw new Error('a session of kind app needs a command')
    if (!programs.xvnc && !(spec.kind === 'browser' && spec.headless))
      throw new Error(
        'this machine has no display server: only headless browsers can run (Debian package tigervnc-standalone-server)',
      )
  }

  /** Makes the session's folders and files; answers the command that runs it. */
  async furnish(order: { place: string; home: string; uid: number; spec: SessionSpec }): Promise<string[]> {
    const { walls, chromiumSandbox } = this.machine
    const room = await this.room(order.place, order.home, order.uid)
    const inside = insideOf(walls, room)
    const settings = join(room.scratch, 'spec.json')
    await writeFile(settings, JSON.stringify(hostSettings(order.spec, walls, inside, chromiumSandbox)), { mode: 0o600 })
    if (walls.ownUsers) await chown(settings, order.uid, order.uid)
    return wallsCommand(walls, this.programs, room, [inside.node, inside.hostEntry, join(inside.scratch, 'spec.json')])
  }

  /** Walls for a tool that works on a home while no session does. */
  async toolRoom({ home, uid }: SessionHome) {
    const { walls } = this.machine
    const place = await mkdtemp(join(this.runtimeFolder, 't-'))
    const room = await this.room(place, home, uid)
    return {
      inside: insideOf(walls, room),
      command: (run: string[]) => wallsCommand(walls, this.programs, room, run),
      remove: () => rm(place, { recursive: true, force: true }),
    }
  }

  /** Walls for a job, whose place outlives this agent. */
  async jobRoom(place: string, { home, uid }: SessionHome, env: Record<string, string>) {
    const { walls } = this.machine
    const plain = await this.room(place, home, uid)
    const room = { ...plain, env: { ...plain.env, ...env } }
    return {
      inside: insideOf(walls, room),
      scratch: room.scratch,
      walls: walls.kind,
      ownUid: walls.ownUsers ? uid : null,
      command: (run: string[]) => wallsCommand(walls, this.programs, room, run),
    }
  }

  /** Walls for a build. `home` is its own folder, of its own first user where this agent is root. */
  async buildRoom(place: string, home: string, uid: number, context: string, env: Record<string, string>) {
    const plain = await this.room(place, home, process.getuid!())
    const firstId = process.getuid!() === 0 ? firstIdOf(uid) : null
    if (firstId !== null) for (const folder of [home, plain.scratch]) await chown(folder, firstId, firstId)
    const accounts = { passwd: plain.accounts.passwd, group: plain.accounts.group }
    await writeFile(accounts.passwd, 'root:x:0:0:root:/home/porthole:/bin/sh\n')
    await writeFile(accounts.group, 'root:x:0:\n')
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const room: Room = { ...plain, env: { PATH: path, LANG: 'C.UTF-8', HOME: '/home/porthole', ...env } }
    return {
      inside: insideOf({ kind: 'bubblewrap', ownUsers: true }, room),
      scratch: room.scratch,
      firstId,
      command: (run: string[]) => buildCommand(this.programs, { room, context, rootGives: firstId !== null }, run),
    }
  }

  /** Removes what a build left: of an agent that is not root its files are other users'. */
  async removeBuild(home: string): Promise<void> {
    const { unshare } = this.programs
    if (process.getuid!() !== 0 && unshare)
      await promisify(execFile)(unshare, ['--user', '--map-root-user', '--map-auto', '--', 'rm', '-rf', home], {
        cwd: '/',
        env: this.outerEnv,
      }).catch(() => {})
    await rm(home, { recursive: true, force: true })
  }

  /** Why nothing can be built here; null: it can. Found out by making the walls of a build once. */
  private async tryBuilds(sample: Room, isRoot: boolean): Promise<string | null> {
    if (!buildPrograms(this.programs)) {
      const missing = (['git', 'buildah', 'bwrap', 'unshare', 'setpriv'] as const).filter(name => !this.programs[name])
      return `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not installed (Debian packages buildah, git, bubblewrap)`
    }
    if (this.machine.walls.kind !== 'bubblewrap') return 'this machine has no walls for them'
    const home = await mkdtemp(join(this.options.dataDir, '.probe-'))
    const place = join(this.runtimeFolder, 'b')
    try {
      const room = await this.buildRoom(place, home, sample.uid, home, {})
      const [program, ...args] = room.command(['/bin/sh', '-c', 'cat /proc/self/uid_map'])
      const trying = promisify(execFile)(program!, args, { timeout: warmPatience, cwd: '/', env: this.outerEnv })
      const over = new AbortController()
      const ending = trying.finally(() => over.abort())
      ending.catch(() => {})
      const { pid, stdin } = trying.child
      stdin!.on('error', () => {})
      // When it ends before that, it has said why.
      if (room.firstId !== null && pid) await mapIds(pid, room.firstId, over.signal).catch(() => {})
      stdin!.end('go\n')
      const { stdout } = await ending
      const enough = stdout.split('\n').some(line => Number(line.trim().split(/\s+/)[2]) >= idsOfOne - 1)
      return enough ? null : 'this machine gives its agent too few user numbers (/etc/subuid)'
    } catch (cause) {
      const { stderr, message } = cause as { stderr?: string; message: string }
      const rootless = isRoot ? '' : ' (an agent without root needs newuidmap and numbers in /etc/subuid)'
      return `${(stderr || message).trim().split('\n').at(-1)!.slice(0, 200)}${rootless}`
    } finally {
      await this.removeBuild(home)
      await rm(place, { recursive: true, force: true })
    }
  }

  /** What goes before a command that is to run inside a sandbox, whose first process this is, as its user; null: none can get in. */
  wayInto(init: number | null, uid: number): string[] | null {
    const { walls } = this.machine
    const drop = dropTo(walls, this.programs, uid)
    if (walls.kind === 'plain') return drop
    // Without root the walls belong to a user namespace that nobody is in any more.
    if (init === null || !walls.ownUsers || !this.programs.nsenter) return null
    return [this.programs.nsenter, '--target', String(init), '--mount', '--pid', '--ipc', '--uts', '--', ...drop]
  }

  /** For terminals in jobs; null: there are none here. */
  get terminalPrograms(): { script: string; stty: string } | null {
    const { script, stty, nsenter } = this.programs
    const { walls } = this.machine
    const enters = walls.kind === 'plain' || (walls.ownUsers && nsenter !== null)
    return script && stty && enters ? { script, stty } : null
  }

  get node(): string {
    return this.options.node
  }

  async close(): Promise<void> {
    this.ending.abort()
    await this.warming
    await rm(this.runtimeFolder, { recursive: true, force: true })
  }

  private async room(place: string, home: string, uid: number): Promise<Room> {
    const { node, hostProgram, modules } = this.options
    const scratch = join(place, 's')
    const isOwn = uid === process.getuid!()
    await mkdir(scratch, { recursive: true, mode: 0o700 })
    if (!isOwn) {
      await chmod(place, 0o711)
      await chown(scratch, uid, uid)
    }
    const accounts = { passwd: join(place, 'passwd'), group: join(place, 'group') }
    await writeFile(
      accounts.passwd,
      `root:x:0:0:root:/root:/usr/sbin/nologin\nporthole:x:${uid}:${uid}:Porthole:/home/porthole:/bin/bash\n`,
    )
    await writeFile(accounts.group, `root:x:0:\nporthole:x:${uid}:\n`)
    for (const file of Object.values(accounts)) await chmod(file, 0o644)
    return {
      uid,
      home,
      scratch,
      node,
      host: hostProgram,
      modules,
      codeCache: this.cache && { folder: this.cache.folder, name: this.cache.nameFor(uid) },
      accounts,
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        LANG: 'C.UTF-8',
        HOME: '/home/porthole',
        ...(this.cache && { NODE_COMPILE_CACHE: codeCacheInside }),
      },
    }
  }

  private async sampleRoom(isRoot: boolean): Promise<{ room: Room; home: string }> {
    const place = join(this.runtimeFolder, '0')
    const home = await mkdtemp(join(this.options.dataDir, '.probe-'))
    const uid = isRoot && this.programs.setpriv ? probeUid : process.getuid!()
    if (isRoot) await chown(home, uid, uid)
    return { room: await this.room(place, home, uid), home }
  }

  /** In the background: a session that starts before it is done is only a little slower. */
  private async warm(sample: Room, key: string): Promise<void> {
    const { dataDir } = this.options
    this.cache = await keptCodeCache(dataDir, key)
    if (!this.cache) {
      const { walls } = this.machine
      const inside = insideOf(walls, sample)
      const room = { ...sample, home: sample.scratch, env: { ...sample.env, NODE_COMPILE_CACHE: join(inside.scratch, 'code') } }
      const [program, ...args] = wallsCommand(walls, this.programs, room, [
        // Where its folder is swept away under it, Node makes that folder again for ever, before any line of ours runs.
        ...['/usr/bin/timeout', '--signal=KILL', String(warmPatience / 1000)],
        inside.node,
        join(dirname(inside.hostEntry), 'warm-code.ts'),
        '--watch-stdin',
      ])
      this.ending.signal.throwIfAborted()
      // Ended by its stdin: a kill would only reach the outside of the walls.
      const running = promisify(execFile)(program!, args, { cwd: '/', env: this.outerEnv })
      const { stdin } = running.child
      stdin!.on('error', () => {})
      const end = () => stdin!.end()
      this.ending.signal.addEventListener('abort', end)
      const late = setTimeout(end, warmPatience)
      try {
        await running
      } finally {
        clearTimeout(late)
        this.ending.signal.removeEventListener('abort', end)
      }
      this.cache = await keepCodeCache(dataDir, key, join(sample.scratch, 'code'))
    }
    await rm(join(this.runtimeFolder, '0'), { recursive: true, force: true })
  }
}
