/**
 * What the agent tells the host at its start: one JSON file. The agent writes it, so it is checked only for the mistakes a person can make
 * (a missing field, a relative path), not as hostile input. Every field is explained in HOST.md.
 */
import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Owns } from './processes.ts'

export interface Size {
  width: number
  height: number
}

export type Wait = 'none' | 'domcontentloaded' | 'load'

export interface HostSpec {
  kind: 'browser' | 'desktop' | 'app'
  /** Program of a `desktop` or `app`; absent: the default desktop. */
  command?: string[]
  headless: boolean
  display: Size
  /** Nobody may make the screen larger than this. */
  max_display: Size
  start_url?: string
  start_url_wait: Wait
  /** For the session's programs; names that would break the sandbox are left out and noted. */
  env: Record<string, string>
  /** BCP 47, e.g. `de-CH`: the language pages are asked for and the browser speaks. */
  locale?: string
  proxy?: { server: string; bypass?: string }
  /** The person's files; `Downloads` is in it. */
  home: string
  /** Browser profile, kept between generations. */
  profile: string
  /** Short path for sockets, cookie files and artifacts; private to the session, gone after it. */
  scratch: string
  /** Where downloads arrive before they get their names; on the same disk as home, so that they need not be copied. */
  artifacts: string
  listen: { socket: string } | { host: string; port: number }
  rfb: { socket: string } | { port: number }
  /** Paths of programs that are not found by name: `{"chromium": "/opt/chromium/chrome"}`. */
  programs: Record<string, string>
  /** False where user namespaces are denied: Chromium then runs without its own sandbox. */
  chromium_sandbox: boolean
  /** Which processes are the session's, for figures and for the last kill: all it sees, all of its user, or its own descendants. */
  owns: Owns
  /** Sum of the session's private memory that ends its hungriest page, then the session. */
  memory_bytes?: number
  /** End when stdin ends: the agent holds the other end of that pipe. */
  watch_stdin: boolean
  /** Descriptor that gets one JSON line for each change of the status. */
  notify_fd?: number
  /** File that gets the last status at the end, e.g. `/dev/termination-log`. */
  exit_file?: string
}

const required = ['kind', 'headless', 'display', 'home', 'profile', 'scratch', 'listen', 'rfb'] as const

export function readSpec(path: string): HostSpec {
  const given = JSON.parse(readFileSync(path, 'utf8')) as Partial<HostSpec>
  for (const field of required) if (given[field] === undefined) throw new Error(`${path}: ${field} is missing`)
  for (const field of ['home', 'profile', 'scratch'] as const)
    if (!isAbsolute(given[field]!)) throw new Error(`${path}: ${field} must be an absolute path`)
  const defaults = {
    max_display: { width: 3840, height: 2160 },
    start_url_wait: 'none' as const,
    env: {},
    programs: {},
    chromium_sandbox: true,
    owns: 'tree' as const,
    watch_stdin: false,
  }
  return { ...defaults, artifacts: join(given.scratch!, 'artifacts'), ...fromEnv(given.env ?? {}), ...given } as HostSpec
}

/** People say language and proxy as they do everywhere: `LANG=de_CH.UTF-8`, `HTTPS_PROXY=http://…`. */
export function fromEnv(env: Record<string, string>): Pick<HostSpec, 'locale' | 'proxy'> {
  const server = env.HTTPS_PROXY ?? env.https_proxy ?? env.HTTP_PROXY ?? env.http_proxy ?? env.ALL_PROXY ?? env.all_proxy
  const bypass = env.NO_PROXY ?? env.no_proxy
  const locale = /^([a-z]{2,3})(?:[_-]([A-Z]{2}))?(?:[.@].*)?$/.exec(env.LC_ALL ?? env.LANG ?? '')
  return {
    ...(locale && { locale: [locale[1], locale[2]].filter(Boolean).join('-') }),
    ...(server && { proxy: { server, ...(bypass && { bypass }) } }),
  }
}

/** Into what a screen can be: whole pixels, within the limits, width even (some encoders insist). */
export function clampSize(wanted: Size, max: Size): Size {
  const within = (value: number, low: number, high: number) => Math.round(Math.min(high, Math.max(low, value)))
  return { width: within(wanted.width, 320, max.width), height: within(wanted.height, 240, max.height) }
}
