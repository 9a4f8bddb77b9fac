/** Chromium: its profile made ready, its command line, and where its DevTools listen. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { makeFolder } from './folders.ts'
import type { HostSpec } from './host-spec.ts'
import { describeExit, findProgram, launch, type Program } from './program.ts'

export interface Browser {
  program: Program
  /** `ws://127.0.0.1:<port>/devtools/browser/<guid>` */
  devtools: string
}

/** The Debian wrapper only adds flags of its own; go around it. */
const names = ['/usr/lib/chromium/chromium', 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

export async function startChromium(spec: HostSpec, env: Record<string, string>): Promise<Browser> {
  const path = findProgram(spec.programs.chromium ? [spec.programs.chromium] : names)
  if (!path) throw new Error('Chromium is not installed (Debian package chromium)')
  prepareProfile(spec)
  const program = await launch('Chromium', path, chromiumArgs(spec), { env, cwd: spec.home, stdio: ['inherit', 'pipe'] })
  return { program, devtools: await devtoolsAddress(program) }
}

function prepareProfile(spec: HostSpec): void {
  // Left by a browser that was killed, these make the next one believe it still runs (elsewhere).
  for (const lock of ['SingletonLock', 'SingletonSocket', 'SingletonCookie', 'DevToolsActivePort'])
    rmSync(join(spec.profile, lock), { force: true })
  const folder = join(spec.profile, 'Default')
  makeFolder(folder)
  const file = join(folder, 'Preferences')
  const preferences = merged(readPreferences(file), {
    // After a kill: no "restore pages?" bubble.
    profile: { exit_type: 'Normal', exited_cleanly: true, password_manager_enabled: false },
    credentials_enable_service: false,
    download: { default_directory: join(spec.home, 'Downloads'), prompt_for_download: false },
    savefile: { default_directory: join(spec.home, 'Downloads') },
    browser: { has_seen_welcome_page: true, check_default_browser: false },
    autofill: { credit_card_enabled: false, profile_enabled: false },
    bookmark_bar: { show_on_all_tabs: false },
    ...(spec.locale && {
      intl: { accept_languages: acceptLanguages(spec.locale), selected_languages: acceptLanguages(spec.locale) },
    }),
  })
  writeFileSync(file, JSON.stringify(preferences), { mode: 0o600 })
}

type Tree = { [key: string]: unknown }

function readPreferences(file: string): Tree {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Tree
  } catch {
    return {}
  }
}

function merged(base: Tree, over: Tree): Tree {
  const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)
  const out: Tree = { ...base }
  for (const [key, value] of Object.entries(over)) {
    const below = out[key]
    out[key] = isTree(value) && isTree(below) ? merged(below, value) : value
  }
  return out
}

/** `de-CH` -> `de-CH,de,en` */
function acceptLanguages(locale: string): string {
  const language = locale.split('-')[0]!
  return [...new Set([locale, language, 'en'])].join(',')
}

function chromiumArgs(spec: HostSpec): string[] {
  const { width, height } = spec.display
  return [
    `--user-data-dir=${spec.profile}`,
    ...['--remote-debugging-port=0', '--no-first-run', '--no-default-browser-check', '--disable-dev-shm-usage'],
    ...['--password-store=basic', '--use-mock-keychain', '--disable-background-networking', '--disable-component-update'],
    ...[
      '--disable-default-apps',
      '--disable-sync',
      '--disable-breakpad',
      '--disable-field-trial-config',
      '--metrics-recording-only',
    ],
    ...['--disable-search-engine-choice-screen', '--hide-crash-restore-bubble', '--enable-unsafe-swiftshader'],
    ...['--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding', '--disable-background-timer-throttling'],
    ...['--force-color-profile=srgb', '--disable-infobars', '--noerrdialogs'],
    // A script that closes its last page must not end the session.
    '--keep-alive-for-test',
    // Chromium keeps one value only: every feature that is off must be in this list.
    '--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,GlobalMediaControls,AutofillServerCommunication,PasswordManagerOnboarding',
    ...(spec.locale ? [`--lang=${spec.locale}`, `--accept-lang=${acceptLanguages(spec.locale)}`] : []),
    ...(spec.proxy ? [`--proxy-server=${spec.proxy.server}`] : []),
    ...(spec.proxy?.bypass ? [`--proxy-bypass-list=${spec.proxy.bypass.replaceAll(',', ';')}`] : []),
    ...(spec.chromium_sandbox ? [] : ['--no-sandbox', '--test-type']),
    ...(spec.headless ? ['--headless', '--hide-scrollbars', '--mute-audio'] : ['--ozone-platform=x11', '--window-position=0,0']),
    `--window-size=${width},${height}`,
    'about:blank',
  ]
}

/** It says `DevTools listening on ws://…` on stderr; all it says there is passed on to the log. */
async function devtoolsAddress(program: Program): Promise<string> {
  const stderr = program.child.stdio[2] as Readable
  let said = ''
  const listening = new Promise<string>(resolve => {
    stderr.on('data', (chunk: Buffer) => {
      process.stderr.write(chunk)
      if (said.length > 65_536) return
      said += chunk.toString()
      const found = /DevTools listening on (ws:\/\/\S+)/.exec(said)
      if (found) resolve(found[1]!)
    })
  })
  const died = program.exited.then(exit => {
    const lastWords = said
      .trim()
      .split('\n')
      .findLast(line => /FATAL|ERROR/.test(line))
    throw new Error(
      `${describeExit('Chromium', exit)}${lastWords ? `: ${lastWords.replace(/^\[[^\]]*\] ?/, '').slice(0, 300)}` : ''}`,
    )
  })
  died.catch(() => {})
  return await Promise.race([listening, died])
}
