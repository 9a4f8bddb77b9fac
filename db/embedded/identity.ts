/**
 * PostgreSQL refuses to run as root, and `sudo npm start` in /root/porthole must work all the same. Ways, best first; each is tried on the very
 * programs and folder it will be used with, and the first that works is taken:
 *
 *   self       we are not root: nothing to do
 *   namespace  a user namespace where we look like `nobody`: files stay ours, folders closed to others are no obstacle
 *   drop       become `nobody`: needs programs and data that anyone may reach
 *   drop+open  become `nobody`, keeping only the right to pass closed folders (containers without user namespaces)
 */
import { execFile } from 'node:child_process'
import { chownSync } from 'node:fs'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** All that our programs get to see of the environment: PG* variables of the caller must not reach them. */
export const programEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** Present in every passwd file; initdb insists on a name for the user it runs as. */
const nobody = 65534

export interface Identity {
  way: 'self' | 'namespace' | 'drop' | 'drop+open'
  /** Goes in front of a command line. */
  prefix: string[]
  /** Who owns the data directory on disk. */
  owner: number
}

export class NoIdentity extends Error {}

export interface Caller {
  uid: number
  /** Has the uid a line in the passwd file? */
  named: boolean
}

export function currentCaller(): Caller {
  const uid = process.getuid!()
  try {
    return { uid, named: userInfo().username !== '' }
  } catch {
    return { uid, named: false }
  }
}

/** The ways open to this caller, best first. */
export function identitiesFor({ uid, named }: Caller): Identity[] {
  const namespace: Identity = {
    way: 'namespace',
    prefix: ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`, '--'],
    owner: uid,
  }
  if (uid !== 0) return named ? [{ way: 'self', prefix: [], owner: uid }] : [namespace]
  const drop = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
  return [
    namespace,
    { way: 'drop', prefix: [...drop, '--inh-caps=-all', '--'], owner: nobody },
    {
      way: 'drop+open',
      prefix: [...drop, '--inh-caps=-all,+dac_override', '--ambient-caps=+dac_override', '--'],
      owner: nobody,
    },
  ]
}

/** `dir` (which exists) ends up belonging to the owner of the identity that is returned. */
export async function chooseIdentity(postgres: string, dir: string, ladder: Identity[]): Promise<Identity> {
  const faults: string[] = []
  for (const identity of ladder) {
    if (identity.way === 'self') return identity
    if (process.getuid!() === 0) chownSync(dir, identity.owner, identity.owner)
    const [command, ...args] = [...identity.prefix, 'sh', '-c', 'cd "$1" && exec "$2" --version', 'probe', dir, postgres]
    try {
      await run(command!, args, { env: programEnv })
      return identity
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string }
      faults.push(`${identity.way}: ${(stderr?.trim() || message).split('\n').at(-1)}`)
    }
  }
  throw new NoIdentity(
    `the embedded PostgreSQL does not run as this user here (${faults.join('; ')}): start as a normal user, or set DATABASE_URL`,
  )
}
