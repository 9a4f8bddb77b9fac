/** Chromium: its profile made ready, its command line, and the pipe it is driven by. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { type CdpMessage, CdpPipe } from './cdp-pipe.ts'
import { makeFolder } from './folders.ts'
import type { HostSpec } from './host-spec.ts'
import { describeExit, findProgram, launch, type Program } from './program.ts'

export interface Browser {
  program: Program
  cdp: CdpPipe
}

/** The Debian wrapper only adds flags of its own; go around it. */
const names = ['/usr/lib/chromium/chromium', 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

export async function startChromium(
  spec: HostSpec,
  env: Record<string, string>,
  rewrite: (message: CdpMessage) => void,
): Promise<Browser> {
  const path = findProgram(spec.programs.chromium ? [spec.programs.chromium] : names)
  if (!path) throw new Error('Chromium is not installed (Debian package chromium)')
  prepareProfile(spec)
  const program = await launch('Chromium', path, chromiumArgs(spec), {
    env,
    cwd: spec.home,
    stdio: ['inherit', 'pipe', 'pipe', 'pipe'],
  })
  const [, , , input, output] = program.child.stdio
  const cdp = new CdpPipe(output as Readable, input as Writable, rewrite)
  const said = lastWords(program)
  const died = program.exited.then(exit => {
    const words = exit.signal ? '' : said()
    throw new Error(`${describeExit('Chromium', exit)}${words && `: ${words}`}`)
  })
  died.catch(() => {})
  await Promise.race([cdp.call('Browser.getVersion').catch(() => died), died])
  return { program, cdp }
}

function prepareProfile(spec: HostSpec): void {
  // Left by a browser that was killed, these make the next one believe it still runs (elsewhere).
  for (const lock of ['SingletonLock', 'SingletonSocket', 'SingletonCookie']) rmSync(join(spec.profile, lock), { force: true })
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
    ...['--remote-debugging-pipe', '--no-first-run', '--no-default-browser-check', '--disable-dev-shm-usage'],
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

/** Its stderr is passed on to the log; of what it said the last fault is kept, for the case that it does not start. */
function lastWords(program: Program): () => string {
  let fault = ''
  const stderr = program.child.stdio[2] as Readable
  stderr.on('data', (chunk: Buffer) => {
    process.stderr.write(chunk)
    const lines = chunk.toString('utf8').split('\n')
    fault = lines.findLast(line => /FATAL|ERROR/.test(line) && !/dbus|GL|vulkan/i.test(line)) ?? fault
  })
  return () => fault.replace(/^\[[^\]]*\] ?/, '').slice(0, 300)
}
