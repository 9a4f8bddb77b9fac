/**
 * One session from its first program to its last kill. The order of the start is what makes it fast: Xvnc and then Chromium are spawned
 * first, Playwright is imported while they come up, and it attaches to the browser that is there.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { CdpMessage } from './cdp-pipe.ts'
import { type Browser, startChromium } from './chromium.ts'
import { startDesktop, startWindowManager } from './desktop.ts'
import { startDisplay } from './display.ts'
import { makeFolder } from './folders.ts'
import { clampSize, fromEnv, type HostSpec, type Size, type Wait } from './host-spec.ts'
import type { Actions, LateSettings } from './http-server.ts'
import { watchMemory } from './memory-wall.ts'
import { encodePng } from './png.ts'
import { Refusal } from './problem.ts'
import { killSession, Meter } from './processes.ts'
import { describeExit, type Program } from './program.ts'
import { readScreen, resizeScreen } from './rfb-client.ts'
import { connectScripts, playwrightVersion, type ScriptBrowser } from './script-browser.ts'
import { sessionEnv, temporaryFolder } from './session-env.ts'
import type { SessionStatus } from './session-status.ts'

/** Cookies reach the disk in a fraction of this. */
const defaultGrace = 700

export class Session {
  private readonly status: SessionStatus
  private readonly leave: (code: number) => void
  private readonly over = new AbortController()
  private readonly meter: Meter
  private spec: HostSpec
  private env: Record<string, string> = {}
  private display: Size | null = null
  private browser: Browser | null = null
  private scripts: ScriptBrowser | null = null
  private main: Program | null = null
  private ending: Promise<void> | null = null

  constructor(spec: HostSpec, status: SessionStatus, leave: (code: number) => void) {
    this.spec = spec
    this.status = status
    this.leave = leave
    this.meter = new Meter(spec.owns, spec.memory_bytes ?? null)
  }

  /** Resolves when people and scripts can use it; a failure ends the session with its reason. */
  async start(): Promise<void> {
    const { spec, status } = this
    try {
      // What a killed browser left half way.
      rmSync(spec.artifacts, { recursive: true, force: true })
      for (const folder of [
        spec.home,
        spec.profile,
        spec.scratch,
        join(spec.home, 'Downloads'),
        spec.artifacts,
        temporaryFolder(spec),
      ])
        makeFolder(folder)
      const { env, ignored } = sessionEnv(spec)
      this.env = env
      if (ignored.length > 0) status.note(`These names in env belong to the session and were left out: ${ignored.join(', ')}`)
      if (spec.memory_bytes) this.raiseMemoryWall(spec.memory_bytes)
      if (!spec.headless) await this.startScreen()
      if (spec.kind === 'browser') await this.startBrowser()
      else await this.startPrograms()
      if (this.ending) return
      status.phase('ready')
      status.change({ state: 'ready', reason: null })
    } catch (cause) {
      await this.end('failed', (cause as Error).message)
    }
  }

  readonly actions: Actions = {
    targets: {
      playwright: () => this.scripts,
      cdp: () => this.browser?.cdp ?? null,
      rfb: () => (this.display ? this.spec.rfb : null),
      env: () => this.env,
      cdpClientGone: async () => await this.scripts?.reclaimDownloads().catch(() => {}),
    },
    screenshot: source => this.screenshot(source),
    resize: size => this.resize(size),
    navigate: (url, wait) => this.navigate(url, wait),
    openStart: (url, wait) => this.openStart(url, wait),
    relaunch: settings => this.relaunch(settings),
    figures: () => this.meter.read(),
  }

  private async startScreen(): Promise<void> {
    const { spec, status } = this
    spec.display = clampSize(spec.display, spec.max_display)
    const { program, env } = await startDisplay(spec, this.env)
    this.env = { ...this.env, ...env }
    this.display = spec.display
    this.endsWith(program, 'The display (Xvnc)')
    status.change({ display: spec.display })
    status.phase('display_ready')
  }

  private async startBrowser(): Promise<void> {
    const { spec, status } = this
    const manager = spec.headless ? null : startWindowManager(true, this.env).then(programs => this.watchHelpers(programs))
    await this.launchBrowser()
    await manager
    if (!spec.start_url || spec.start_url === 'about:blank') return
    status.change({ reason: `opening ${spec.start_url.slice(0, 200)}` })
    const opened = this.openStart(spec.start_url, spec.start_url_wait)
    if (spec.start_url_wait !== 'none') await opened
  }

  private async launchBrowser(): Promise<void> {
    const { spec, status } = this
    const starting = startChromium(spec, this.env, message => this.redirectDownloads(message))
    // Chromium is spawned by now; importing blocks this process for as long as it needs to come up.
    import('playwright-core').catch(() => {})
    const browser = await starting
    this.browser = browser
    this.main = browser.program
    browser.program.exited.then(exit => {
      if (this.browser === browser) void this.end(exit.code === 0 ? 'stopped' : 'failed', describeExit('Chromium', exit))
    })
    status.phase('browser_ready')
    if (!spec.chromium_sandbox) status.note('Chromium runs without its own sandbox: this machine denies user namespaces')
    this.scripts = await connectScripts({
      cdp: browser.cdp,
      artifacts: spec.artifacts,
      downloads: join(spec.home, 'Downloads'),
      keepPage: !spec.headless,
      note: text => status.note(text),
    })
    const { version, browserVersion } = this.scripts
    status.change({ versions: { ...status.get().versions, playwright: version, browser: `Chromium ${browserVersion}` } })
    status.phase('script_ready')
  }

  private async startPrograms(): Promise<void> {
    const { main, helpers } = await startDesktop(this.spec, this.env)
    this.main = main
    this.endsWith(main, main.name)
    this.watchHelpers(helpers)
    this.status.change({ versions: { ...this.status.get().versions, playwright: playwrightVersion() } })
    this.status.phase('program_started')
  }

  private endsWith(program: Program, name: string): void {
    program.exited.then(exit => void this.end(exit.code === 0 ? 'stopped' : 'failed', describeExit(name, exit)))
  }

  private watchHelpers(programs: Program[]): void {
    for (const program of programs)
      program.exited.then(exit => {
        if (exit.code !== 0 && !this.ending) this.status.note(describeExit(program.name, exit))
      })
  }

  private raiseMemoryWall(limit: number): void {
    watchMemory({
      owns: this.spec.owns,
      limit,
      signal: this.over.signal,
      onPageEnded: sentence => this.status.note(sentence),
      onOver: sentence => void this.end('failed', sentence),
    })
  }

  private async screenshot(source: 'screen' | 'page'): Promise<Buffer> {
    if (this.display && source === 'screen') {
      const { pixels, width, height } = await readScreen(this.spec.rfb)
      return await encodePng(pixels, width, height)
    }
    if (!this.scripts) throw new Refusal(503, 'not_ready', 'there is nothing to take a picture of yet')
    return await this.scripts.screenshot()
  }

  private async resize(size: Size): Promise<Size> {
    if (!this.display) throw new Refusal(409, 'conflict', 'a headless session has no screen')
    this.display = await resizeScreen(this.spec.rfb, clampSize(size, this.spec.max_display))
    this.spec.display = this.display
    this.status.change({ display: this.display })
    return this.display
  }

  private async navigate(url: string, wait: Wait): Promise<void> {
    if (!this.scripts)
      throw new Refusal(this.spec.kind === 'browser' ? 503 : 409, 'not_ready', 'there is no browser to open it in')
    try {
      await this.scripts.open(url, wait)
    } catch (cause) {
      throw new Refusal(502, 'not_opened', (cause as Error).message)
    }
  }

  private async openStart(url: string, wait: Wait): Promise<void> {
    const { status } = this
    await this.navigate(url, wait).then(
      () => status.phase('start_url_opened'),
      cause => status.note(`start_url could not be opened: ${(cause as Error).message}`),
    )
  }

  /** A browser reads its environment once: new settings need a new browser, in the same session and profile. */
  private async relaunch(settings: LateSettings): Promise<void> {
    const { spec, status } = this
    if (spec.kind !== 'browser') throw new Refusal(409, 'conflict', 'only a browser can be launched again')
    const old = this.browser
    const leaving = this.scripts
    this.browser = null
    this.scripts = null
    status.change({ state: 'starting', reason: 'launching the browser again' })
    await leaving?.close().catch(() => {})
    await old?.program.exited
    this.spec = { ...spec, ...fromEnv(settings.env ?? {}), ...settings, env: { ...spec.env, ...settings.env } }
    const { DISPLAY, XAUTHORITY } = this.env
    this.env = { ...sessionEnv(this.spec).env, ...(DISPLAY && { DISPLAY }), ...(XAUTHORITY && { XAUTHORITY }) }
    await this.launchBrowser()
    status.change({ state: 'ready', reason: null })
  }

  /** Downloads of a CDP client go where everybody's go: its own paths mean nothing here. */
  private redirectDownloads({ method, params }: CdpMessage): void {
    if (method !== 'Browser.setDownloadBehavior' && method !== 'Page.setDownloadBehavior') return
    if (!params?.downloadPath || params.downloadPath === this.spec.artifacts) return
    const shared = params.browserContextId === undefined
    params.downloadPath = shared ? this.spec.artifacts : join(this.spec.home, 'Downloads')
    if (shared && params.behavior === 'allow') params.behavior = 'allowAndName'
    if (!shared && params.behavior === 'allowAndName') params.behavior = 'allow'
  }

  /** Ends everything, once. The browser gets `graceMs` to bring cookies to the disk; nothing is left when this process is gone. */
  end(cause: 'failed' | 'stopped', reason: string, graceMs = defaultGrace): Promise<void> {
    this.ending ??= this.finish(cause, reason, graceMs)
    return this.ending
  }

  private async finish(cause: 'failed' | 'stopped', reason: string, graceMs: number): Promise<void> {
    this.over.abort()
    this.status.change({ state: 'ending', cause, reason })
    if (cause === 'stopped' && this.main) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>(resolve => (timer = setTimeout(resolve, graceMs)))
      if (this.scripts) this.scripts.close().catch(() => this.main?.child.kill('SIGTERM'))
      else this.main.child.kill('SIGTERM')
      await Promise.race([this.main.exited, late])
      clearTimeout(timer)
    }
    if (this.spec.exit_file) this.status.writeTo(this.spec.exit_file)
    killSession(this.spec.owns)
    this.leave(cause === 'failed' ? 1 : 0)
  }
}
