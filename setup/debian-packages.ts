/** What sessions on this machine need beyond npm's packages: the table, and what of it is missing here. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

export interface Need {
  /** Any of these programs will do. Absolute: any file. */
  anyOf: string[]
  package: string
  /** Without it: no sessions at all, or sessions that lack something. */
  without: 'no sessions' | 'less'
  for: string
}

export const needs: Need[] = [
  {
    anyOf: ['Xvnc', 'Xtigervnc'],
    package: 'tigervnc-standalone-server',
    without: 'no sessions',
    for: 'the screen of every session',
  },
  {
    anyOf: ['chromium', 'google-chrome-stable', 'google-chrome', 'chromium-browser'],
    package: 'chromium',
    without: 'no sessions',
    for: 'browsers',
  },
  { anyOf: ['bwrap'], package: 'bubblewrap', without: 'less', for: 'keeping sessions apart' },
  { anyOf: ['tini'], package: 'tini', without: 'less', for: 'ending all of a session at once' },
  {
    anyOf: ['matchbox-window-manager'],
    package: 'matchbox-window-manager',
    without: 'less',
    for: 'browser windows that fill the screen',
  },
  { anyOf: ['openbox'], package: 'openbox', without: 'less', for: 'desktops' },
  { anyOf: ['xterm'], package: 'xterm', without: 'less', for: 'a terminal on desktops' },
  { anyOf: ['tint2'], package: 'tint2', without: 'less', for: 'the panel of desktops' },
  { anyOf: ['pcmanfm'], package: 'pcmanfm', without: 'less', for: 'files and background of desktops' },
  { anyOf: ['mousepad'], package: 'mousepad', without: 'less', for: 'a text editor on desktops' },
  { anyOf: ['/usr/share/icons/Adwaita/index.theme'], package: 'adwaita-icon-theme', without: 'less', for: 'icons on desktops' },
  { anyOf: ['/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'], package: 'fonts-dejavu-core', without: 'less', for: 'letters' },
  {
    anyOf: ['/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf'],
    package: 'fonts-liberation',
    without: 'less',
    for: 'pages made for Arial',
  },
  {
    anyOf: ['/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf'],
    package: 'fonts-noto-color-emoji',
    without: 'less',
    for: 'emoji',
  },
]

/** Debian's folders too: /usr/sbin is in no normal user's PATH. */
export const programFolders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin']

export function missingNeeds(folders = programFolders, table = needs): Need[] {
  return table.filter(need => !need.anyOf.some(name => findProgram(name, folders) !== null))
}

/** Where a program is, as something that can run in a sandbox: a snap cannot, and Ubuntu's chromium is one in disguise. */
export function findProgram(name: string, folders = programFolders): string | null {
  if (name.startsWith('/')) return existsSync(name) ? name : null
  for (const folder of folders) {
    const file = join(folder, name)
    try {
      accessSync(file, constants.X_OK)
    } catch {
      continue
    }
    if (!isSnap(file)) return file
  }
  return null
}

function isSnap(file: string): boolean {
  const target = realpathSync(file)
  if (target.startsWith('/snap/') || target.endsWith('/bin/snap')) return true
  const fd = openSync(target, 'r')
  try {
    const head = Buffer.alloc(4096)
    const text = head.toString('latin1', 0, readSync(fd, head))
    return text.startsWith('#!') && text.includes('/snap/bin')
  } finally {
    closeSync(fd)
  }
}

/** `ID` and `ID_LIKE` of /etc/os-release: `ubuntu` brings no chromium that we can use. */
export function osFamily(release: string): { debian: boolean; ubuntu: boolean } {
  const words = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(match => match[1]!.split(' '))
  return { debian: words.includes('debian') || words.includes('ubuntu'), ubuntu: words.includes('ubuntu') }
}

/** What apt can bring here, and a sentence on the rest. */
export function planInstall(
  missing: Need[],
  family: { debian: boolean; ubuntu: boolean },
): { packages: string[]; advice: string | null } {
  if (missing.length === 0) return { packages: [], advice: null }
  if (!family.debian) {
    const programs = missing.map(need => need.anyOf[0]).join(', ')
    return {
      packages: [],
      advice: `Sessions on this machine need these: ${programs} (on Debian, Porthole would install them itself)`,
    }
  }
  const packages = missing.map(need => need.package)
  if (!family.ubuntu || !packages.includes('chromium')) return { packages, advice: null }
  return {
    packages: packages.filter(name => name !== 'chromium'),
    advice:
      'Ubuntu has Chromium only as a snap, which cannot run inside a session: install Google Chrome (the .deb from google.com/chrome)',
  }
}
