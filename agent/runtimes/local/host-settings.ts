/** From what the API wants to what the host program is told (docker/host/HOST.md), in paths of the inside. */
import type { SessionSpec } from '#protocol/session-spec.ts'
import type { Inside, Walls } from './isolation.ts'

/** Descriptor on which the host writes a line for each change of its status. */
export const notifyFd = 3

export function hostSettings(spec: SessionSpec, walls: Walls, inside: Inside, chromiumSandbox: boolean): object {
  return {
    kind: spec.kind,
    command: spec.command,
    headless: spec.headless,
    display: spec.display,
    start_url: spec.start_url,
    start_url_wait: spec.start_url_wait,
    env: spec.env,
    home: inside.home,
    // Inside home, so that a volume carries it; not the browser's usual folder, which refuses to be driven.
    profile: `${inside.home}/.config/porthole-browser`,
    scratch: inside.scratch,
    artifacts: `${inside.home}/.cache/porthole/downloads`,
    listen: { socket: `${inside.scratch}/host.sock` },
    rfb: { socket: `${inside.scratch}/rfb.sock` },
    chromium_sandbox: chromiumSandbox,
    owns: walls.kind === 'bubblewrap' ? 'namespace' : walls.ownUsers ? 'user' : 'tree',
    memory_bytes: spec.limits.memory_bytes,
    watch_stdin: true,
    notify_fd: notifyFd,
  }
}
