/** Environment of the session's programs: ours, then what the person asked for, without the names that would break the sandbox. */
import { join } from 'node:path'
import type { HostSpec } from './host-spec.ts'

/** Names that say where the display, the home and the loader's libraries are: not the person's to change. */
const reserved =
  /^(DISPLAY|XAUTHORITY|WAYLAND_DISPLAY|HOME|USER|LOGNAME|TMPDIR|XDG_\w+|DBUS_\w+|LD_\w+|GCONV_PATH|LOCPATH|NODE_\w+|PLAYWRIGHT_\w+|PW_\w+|CHROME_\w+|BASH_ENV|ENV|IFS)$/
const validName = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Without walls, /tmp is everybody's. */
export function temporaryFolder(spec: HostSpec): string {
  return spec.owns === 'namespace' ? '/tmp' : join(spec.scratch, 'tmp')
}

export interface SessionEnv {
  env: Record<string, string>
  ignored: string[]
}

export function sessionEnv(spec: HostSpec): SessionEnv {
  const { locale, proxy } = spec
  const env: Record<string, string> = {
    HOME: spec.home,
    USER: 'porthole',
    LOGNAME: 'porthole',
    SHELL: '/bin/bash',
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/games',
    LANG: 'C.UTF-8',
    PS1: '\\w \\$ ',
    TMPDIR: temporaryFolder(spec),
    XDG_RUNTIME_DIR: spec.scratch,
    XDG_CACHE_HOME: join(spec.scratch, 'cache'),
    // Debian's Chromium otherwise shows a bar about missing keys.
    GOOGLE_API_KEY: 'no',
    GOOGLE_DEFAULT_CLIENT_ID: 'no',
    GOOGLE_DEFAULT_CLIENT_SECRET: 'no',
    ...(locale && { LANGUAGE: locale.replace('-', '_') }),
    ...(proxy && { HTTP_PROXY: proxy.server, HTTPS_PROXY: proxy.server, ...(proxy.bypass && { NO_PROXY: proxy.bypass }) }),
  }
  const ignored: string[] = []
  for (const [name, value] of Object.entries(spec.env)) {
    if (reserved.test(name) || !validName.test(name) || value.includes('\0')) ignored.push(name)
    else env[name] = value
  }
  return { env, ignored }
}
