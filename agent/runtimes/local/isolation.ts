/**
 * The walls around one session, as a command line. Best: bubblewrap, in which everything of the session is in one pid namespace, so that the
 * end of its first process is the end of all (vnc.md: 0 leftovers in 450 kills). Else tini with a watched stdin pipe. As root, each
 * session runs under a numeric user of its own; root's bubblewrap may bind what that user could not reach, and drops to it inside.
 */
import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Programs } from './programs.ts'

export interface Walls {
  kind: 'bubblewrap' | 'plain'
  /** Root agents give each session its own user; others run it as themselves. */
  ownUsers: boolean
}

/** What a session may see, as paths of the machine. */
export interface Room {
  uid: number
  home: string
  scratch: string
  /** Node's binary, the folder of the host program, and the packages it imports. */
  node: string
  host: string
  modules: { name: string; folder: string }[]
  /** Folder of compiled code, and the name it must have for this user. */
  codeCache: { folder: string; name: string } | null
  /** passwd and group files that give the user a name. */
  accounts: { passwd: string; group: string }
  env: Record<string, string>
}

export interface Inside {
  home: string
  scratch: string
  hostEntry: string
  node: string
}

const processLimit = 1_024
const hostFolder = '/opt/porthole/host'
export const codeCacheInside = '/opt/porthole/code-cache'

export function insideOf(walls: Walls, room: Room): Inside {
  if (walls.kind === 'plain') return { home: room.home, scratch: room.scratch, node: room.node, hostEntry: room.host }
  return {
    home: '/home/porthole',
    scratch: '/run/porthole',
    node: '/opt/porthole/node',
    hostEntry: `${hostFolder}/${basename(room.host)}`,
  }
}

/** `run`: what to start inside, in paths of the inside. */
export function wallsCommand(walls: Walls, programs: Programs, room: Room, run: string[]): string[] {
  const init = programs.tini ? [programs.tini, ...(walls.kind === 'plain' ? ['-s'] : []), '--'] : []
  const drop = dropTo(walls, programs, room.uid)
  if (walls.kind === 'plain') return [...drop, ...init, ...run]
  // Init stays what bubblewrap is: the kernel lets the dying outside kill only its own user, and with it goes the whole namespace.
  const chain = [...init, ...drop, ...run]
  const asInit = init.length > 0 ? ['--as-pid-1'] : []
  return [programs.bwrap!, ...bubblewrapArgs(walls, room), ...asInit, '--', ...chain]
}

/** Becomes the session's user for good. */
export function dropTo(walls: Walls, programs: Programs, uid: number): string[] {
  if (!walls.ownUsers) return []
  const limits = programs.prlimit ? [programs.prlimit, '--core=0', `--nproc=${processLimit}`, '--'] : []
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all']
  return [...limits, programs.setpriv!, ...user, '--']
}

const etcFiles =
  'fonts ssl ca-certificates resolv.conf hosts nsswitch.conf localtime timezone machine-id ld.so.cache ld.so.conf ld.so.conf.d alternatives X11 xdg mime.types gtk-3.0 chromium chromium.d'

const folder = (path: string, mode = '0755') => ['--perms', mode, '--dir', path]
const show = (from: string, to: string) => ['--ro-bind', from, to]

/** `bare`: for programs of the machine only, by whoever is root already. */
export function bubblewrapArgs(walls: Walls, room: Room, { bare = false } = {}): string[] {
  const memory = (path: string, mode = '0755') => ['--perms', mode, '--tmpfs', path]
  return [
    ...['--die-with-parent', '--new-session', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--hostname', 'porthole'],
    // As root: what it takes to become the session's user, and nothing else.
    ...(walls.ownUsers && !bare
      ? ['--cap-drop', 'ALL', ...['SETUID', 'SETGID', 'SETPCAP'].flatMap(cap => ['--cap-add', `CAP_${cap}`])]
      : []),
    ...(walls.ownUsers ? [] : ['--unshare-user']),
    ...show('/usr', '/usr'),
    ...['/bin', '/lib', '/lib64', '/sbin'].flatMap(systemFolder),
    ...folder('/etc'),
    ...etcFiles.split(' ').flatMap(name => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    ...show(room.accounts.passwd, '/etc/passwd'),
    ...show(room.accounts.group, '/etc/group'),
    ...['--proc', '/proc', '--dev', '/dev'],
    // Graphics devices are not in a private /dev; a sound or camera device neither.
    ...memory('/dev/shm', '1777'),
    ...memory('/tmp', '1777'),
    ...folder('/tmp/.X11-unix', '1777'),
    ...memory('/run'),
    ...memory('/var'),
    ...folder('/var/cache'),
    ...['--ro-bind-try', '/var/cache/fontconfig', '/var/cache/fontconfig'],
    ...folder('/home'),
    ...['--bind', room.home, '/home/porthole', '--bind', room.scratch, '/run/porthole'],
    ...(bare ? [] : hostArgs(room)),
    ...['--chdir', '/', '--clearenv'],
    ...Object.entries(room.env).flatMap(([name, value]) => ['--setenv', name, value]),
  ]
}

/** The host program and what it needs. */
function hostArgs(room: Room): string[] {
  return [
    ...folder('/opt'),
    ...folder('/opt/porthole'),
    ...folder('/opt/porthole/node_modules'),
    ...show(room.node, '/opt/porthole/node'),
    ...show(dirname(room.host), hostFolder),
    ...room.modules.flatMap(module => show(module.folder, `/opt/porthole/node_modules/${module.name}`)),
    ...(room.codeCache
      ? [...folder(codeCacheInside), ...show(room.codeCache.folder, `${codeCacheInside}/${room.codeCache.name}`)]
      : []),
  ]
}

/** Links where `/usr` is merged (Debian), real folders elsewhere. */
function systemFolder(path: string): string[] {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}
