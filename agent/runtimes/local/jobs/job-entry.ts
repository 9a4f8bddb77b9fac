/** The first lines of a job inside its sandbox: its variables, its folder, then its own program. */
import { existsSync } from 'node:fs'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunSpec } from '#protocol/job-spec.ts'
import type { JobFolder } from './job-folder.ts'

export const entryFile = 'entry.sh'
const entryLookMs = 50

/** The first thing that happens inside is that its file goes: from then on there is a sandbox to enter. */
export async function furnished({ place }: JobFolder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && existsSync(join(place, 's', entryFile))) await delay(entryLookMs)
}

/** Variables go by a file that the job's own shell reads and removes: arguments can be seen by everybody on the machine. */
export async function writeEntry(
  path: string,
  spec: RunSpec,
  secrets: Record<string, string>,
  uid: number | null,
): Promise<void> {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
  const given = Object.entries(spec.secret_env).map(([name, secret]): [string, string] => [name, secrets[secret] ?? ''])
  const lines = [...Object.entries(spec.env), ...given].map(([name, value]) => `export ${name}=${quoted(value)}`)
  const folder = spec.working_dir ? quoted(spec.working_dir) : '"$home"'
  const script = [
    'rm -f -- "$0"',
    'home=$1',
    'shift',
    'export HOME="$home"',
    ...lines,
    `cd -- ${folder} || exit 126`,
    'unset home',
    'exec "$@"',
    '',
  ]
  await writeFile(path, script.join('\n'), { mode: 0o600 })
  if (uid !== null) await chown(path, uid, uid)
}
