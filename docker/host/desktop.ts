/**
 * What is on the screen besides the program itself. `browser` and `app`: matchbox, which makes every window as large as the screen.
 * `desktop`: Xfce where it is installed; else openbox with a background, a panel, a menu and a terminal, from whatever of these is there.
 */
import { writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  desktopEntries,
  desktopMenu,
  filesSettings,
  launcher,
  openboxSettings,
  panelSettings,
  terminalResources,
} from './desktop-look.ts'
import { makeFolder } from './folders.ts'
import type { HostSpec } from './host-spec.ts'
import { findProgram, launch, type Program } from './program.ts'

export interface Desktop {
  /** Whose end is the session's end. */
  main: Program
  helpers: Program[]
}

/** Programs that bring a window manager of their own, which will not start beside another. */
const wholeDesktop = /^(start.*|.*session|openbox|fluxbox|icewm|jwm|awesome|i3|xmonad)$/

/** `full`: every window as large as the screen. */
export async function startWindowManager(full: boolean, env: Record<string, string>): Promise<Program[]> {
  const matchbox = full ? findProgram(['matchbox-window-manager']) : null
  if (matchbox) return [await launch('matchbox', matchbox, ['-use_titlebar', 'no'], { env })]
  const openbox = findProgram(['openbox'])
  return openbox ? [await launch('openbox', openbox, [], { env })] : []
}

export async function startDesktop(spec: HostSpec, env: Record<string, string>): Promise<Desktop> {
  const [name, ...args] = spec.command ?? []
  if (name) {
    const path = findProgram([name], env.PATH)
    if (!path) throw new Error(`${name} is not installed`)
    const helpers = wholeDesktop.test(basename(path)) ? [] : await startWindowManager(spec.kind === 'app', env)
    return { main: await launch(name, path, args, { env, cwd: spec.home }), helpers }
  }
  if (spec.kind === 'app') throw new Error('a session of kind app needs a command')
  const full = findProgram(['startxfce4'])
  if (full) return { main: await launch('Xfce', full, [], { env, cwd: spec.home }), helpers: [] }
  return await startLightDesktop(spec, env)
}

async function startLightDesktop(spec: HostSpec, env: Record<string, string>): Promise<Desktop> {
  const openbox = findProgram(['openbox'])
  if (!openbox) throw new Error('no desktop is installed (Debian package openbox)')
  const settings = join(spec.scratch, 'desktop')
  const write = (file: string, text: string) => {
    const path = join(settings, file)
    makeFolder(dirname(path))
    writeFileSync(path, text)
    return path
  }
  const entries = desktopEntries(findProgram, spec.chromium_sandbox)
  const menu = write('menu.xml', desktopMenu(entries))
  const rules = write('rc.xml', openboxSettings(menu))
  const panel = write('tint2rc', panelSettings(entries.map(entry => write(`${entry.id}.desktop`, launcher(entry)))))
  write('config/pcmanfm/porthole/desktop-items-0.conf', filesSettings)
  makeFolder(join(spec.home, 'Desktop'))
  const shown = { ...env, XENVIRONMENT: write('Xresources', terminalResources), XDG_CURRENT_DESKTOP: 'Porthole' }
  const options = { env: shown, cwd: spec.home }
  const main = await launch('openbox', openbox, ['--config-file', rules], options)
  const helpers: Program[] = []
  const begin = async (program: string, args: string[], extra: Record<string, string> = {}) => {
    const path = findProgram([program])
    if (path) helpers.push(await launch(program, path, args, { ...options, env: { ...shown, ...extra } }))
  }
  await begin('pcmanfm', ['--desktop', '--profile', 'porthole'], { XDG_CONFIG_HOME: join(settings, 'config') })
  await begin('tint2', ['-c', panel])
  await begin('xterm', ['-geometry', '92x26+48+40'])
  return { main, helpers }
}
