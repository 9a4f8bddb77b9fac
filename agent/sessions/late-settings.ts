/**
 * What a warm session is given when somebody takes it: the difference between the spec it was begun with and the one it has now. Only another
 * environment (language and proxy are in it) needs a new browser; everything else changes under the living one.
 */
import type { Display, SessionSpec } from '#protocol/session-spec.ts'
import { DialError, type Runtime } from '../runtimes/runtime.ts'

export interface LateSettings {
  /** The browser is launched again with exactly these. */
  env: Record<string, string> | null
  display: Display | null
  open: { url: string; wait: SessionSpec['start_url_wait'] } | null
}

/** `begun`: null when it is not known any more; then all of it is applied. */
export function lateSettings(begun: SessionSpec | null, spec: SessionSpec): LateSettings {
  const { env, display, headless, start_url } = spec
  return {
    env: spec.kind === 'browser' && (begun === null || !sameEntries(begun.env, env)) ? env : null,
    display: !headless && (begun?.display.width !== display.width || begun.display.height !== display.height) ? display : null,
    open: start_url && start_url !== 'about:blank' ? { url: start_url, wait: spec.start_url_wait } : null,
  }
}

/** Resolves when all is in force; a start_url that is waited for by nobody goes on opening. */
export async function applyLateSettings(
  runtime: Pick<Runtime, 'host' | 'observe' | 'watch'>,
  session: string,
  settings: LateSettings,
  signal: AbortSignal,
): Promise<void> {
  const ask = (path: string, body: object) => askHost(runtime, session, path, body, signal)
  if (settings.env) {
    await ask('/relaunch', { env: settings.env })
    await running(runtime, session, signal)
  }
  if (settings.display) await ask('/display', settings.display)
  if (!settings.open) return
  const opened = ask('/navigate', { ...settings.open, start: true })
  if (settings.open.wait === 'none') opened.catch(() => {})
  else await opened
}

async function askHost(
  runtime: Pick<Runtime, 'host'>,
  session: string,
  path: string,
  body: object,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(body))
  const headers = { 'content-type': 'application/json', 'content-length': String(bytes.length) }
  const answer = await runtime.host(session, { method: 'POST', path, headers, body: only(bytes), signal })
  const said: Uint8Array[] = []
  for await (const chunk of answer.body) said.push(chunk)
  if (answer.status < 300) return
  throw new DialError(answer.status, 'not_settled', `${path} was refused: ${Buffer.concat(said).toString().slice(0, 300)}`)
}

async function* only(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}

/** The runtime hears of the relaunched browser on its own way, a moment after the host's answer. */
async function running(runtime: Pick<Runtime, 'observe' | 'watch'>, session: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    let wake!: () => void
    const news = new Promise<void>(resolve => (wake = resolve))
    const unwatch = runtime.watch(wake)
    signal.addEventListener('abort', wake)
    try {
      signal.throwIfAborted()
      const mine = (await runtime.observe()).filter(each => each.session === session)
      if (mine.some(each => each.phase === 'running')) return
      if (!mine.some(each => each.phase === 'starting')) throw new Error('it ended while its browser was launched again')
      await news
    } finally {
      signal.removeEventListener('abort', wake)
      unwatch()
    }
  }
}

function sameEntries(a: Record<string, string>, b: Record<string, string>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => a[key] === b[key])
}
