/** Which of the machine's programs a local session can use, and their versions for people. */
import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Programs {
  chromium: string | null
  xvnc: string | null
  /** Makes every window fill the screen: browsers and single programs. */
  matchbox: string | null
  openbox: string | null
  bwrap: string | null
  setpriv: string | null
  prlimit: string | null
  tini: string | null
  unshare: string | null
  /** Makes pseudo-terminals. */
  script: string | null
  /** Enters a sandbox that runs. */
  nsenter: string | null
  stty: string | null
  git: string | null
  /** Builds images. */
  buildah: string | null
}

const names: Record<keyof Programs, string[]> = {
  // Debian's /usr/bin/chromium is a script that adds flags of its own.
  chromium: ['/usr/lib/chromium/chromium', 'chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
  xvnc: ['Xvnc', 'Xtigervnc'],
  matchbox: ['matchbox-window-manager'],
  openbox: ['openbox'],
  bwrap: ['bwrap'],
  setpriv: ['setpriv'],
  prlimit: ['prlimit'],
  tini: ['tini', 'docker-init'],
  unshare: ['unshare'],
  script: ['script'],
  nsenter: ['nsenter'],
  stty: ['stty'],
  git: ['git'],
  buildah: ['buildah'],
}

/** Not PATH: the sandbox shows `/usr` and nothing else, so a program elsewhere would be found here and missing there. */
const folders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']

export function findPrograms(): Programs {
  const find = (candidates: string[]) => {
    const paths = candidates.flatMap(name => (name.startsWith('/') ? [name] : folders.map(folder => join(folder, name))))
    return paths.find(executable) ?? null
  }
  return Object.fromEntries(Object.entries(names).map(([key, candidates]) => [key, find(candidates)])) as unknown as Programs
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export async function programVersions(programs: Programs): Promise<Record<string, string>> {
  const [chromium, xvnc] = await Promise.all([
    programs.chromium ? said(programs.chromium, ['--version'], /([\d.]{5,})/) : null,
    programs.xvnc ? said(programs.xvnc, ['-version'], /Xvnc TigerVNC ([\d.]+)/) : null,
  ])
  const playwright = (createRequire(import.meta.url)('playwright-core/package.json') as { version: string }).version
  return { playwright, ...(chromium && { chromium }), ...(xvnc && { xvnc }), ...osName() }
}

async function said(path: string, args: string[], pattern: RegExp): Promise<string | null> {
  const run = promisify(execFile)
  const { stdout, stderr } = await run(path, args, { timeout: 10_000 }).catch(
    fault => fault as { stdout?: string; stderr?: string },
  )
  return pattern.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1] ?? null
}

function osName(): Record<string, string> {
  try {
    const name = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))
    return name ? { os: name[1]! } : {}
  } catch {
    return {}
  }
}
