/**
 * The walls around a build, as a command line. Inside it is root of a user namespace, which is nobody outside: so buildah can make containers, steps of a
 * Dockerfile can be root and other users, and nothing of it has a right on this machine. What it sees is what a session sees; its steps see their image.
 */

import { bubblewrapArgs, type Room } from '../isolation.ts'
import type { Programs } from '../programs.ts'

export interface BuildRoom {
  room: Room
  /** Folder in which what was sent appears. */
  context: string
  /** The agent is root: it gives the numbers (`mapIds`), and says `go` on stdin. */
  rootGives: boolean
}

export const contextInside = '/run/context/archive.tar.gz'
/** Root of the namespace cannot go where only the agent can: what it needs is shown here first. */
const shown = '/tmp'

/** What of the machine it takes; null: not all of it is there. */
export function buildPrograms({ bwrap, unshare, setpriv, git, buildah }: Programs) {
  return bwrap && unshare && setpriv && git && buildah ? { bwrap, unshare, setpriv, git, buildah } : null
}

export function buildCommand(programs: Programs, { room, context, rootGives }: BuildRoom, run: string[]): string[] {
  const { bwrap, unshare, setpriv } = buildPrograms(programs)!
  const limits = programs.prlimit ? [programs.prlimit, '--core=0', '--nproc=4096', '--'] : []
  const init = programs.tini ? ['--as-pid-1', '--', programs.tini, '--', ...run] : ['--', ...run]
  const at = rootGives
    ? {
        ...room,
        home: `${shown}/home`,
        scratch: `${shown}/scratch`,
        accounts: { passwd: `${shown}/passwd`, group: `${shown}/group` },
      }
    : room
  const inner = [
    ...limits,
    bwrap,
    ...bubblewrapArgs({ kind: 'bubblewrap', ownUsers: true }, at, { bare: true }),
    ...['--dir', '/sys', '--dir', '/var/tmp', '--ro-bind', rootGives ? `${shown}/context` : context, '/run/context'],
    ...init,
  ]
  if (!rootGives) return [unshare, '--user', '--map-root-user', '--map-auto', '--', ...inner]
  const show = (from: string, name: string, way = '--bind') => [way, from, `${shown}/${name}`]
  return [
    ...[bwrap, '--die-with-parent', '--dev-bind', '/', '/', '--perms', '0755', '--tmpfs', shown],
    ...show(room.home, 'home'),
    ...show(room.scratch, 'scratch'),
    ...show(context, 'context', '--ro-bind'),
    ...show(room.accounts.passwd, 'passwd', '--ro-bind'),
    ...show(room.accounts.group, 'group', '--ro-bind'),
    ...['--', unshare, '--user', '--keep-caps', '--', '/bin/sh', '-c', 'read -r go && exec "$@" </dev/null', 'sh'],
    ...[setpriv, '--reuid=0', '--regid=0', '--clear-groups', '--', ...inner],
  ]
}
