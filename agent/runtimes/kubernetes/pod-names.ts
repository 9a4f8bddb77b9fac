/** Fixed words inside a session's pod, shared by who builds it and who reads it. */
export const containerName = {
  /** Browser, desktop, or the display beside an app: the host program is in it. */
  main: 'session',
  app: 'app',
  prepare: 'prepare-volume',
} as const

export const podPorts = { host: 7000, rfb: 5900 } as const

export const podPaths = {
  home: '/home/porthole',
  /** As in the local runtime: a volume goes from one to the other. */
  profile: '/home/porthole/.config/porthole-browser',
  artifacts: '/home/porthole/.cache/porthole/downloads',
  /** Sockets, cookie files: private to the session. */
  scratch: '/run/porthole',
  settings: '/etc/porthole',
  hostSpec: '/etc/porthole/host.json',
  x11: '/tmp/.X11-unix',
  lastWords: '/dev/termination-log',
} as const
