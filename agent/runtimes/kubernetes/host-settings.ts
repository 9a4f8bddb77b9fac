/** What the host program in a pod is told: the JSON of docker/host/HOST.md, carried by an annotation into a file. */
import type { SessionSpec } from '#protocol/session-spec.ts'
import { podPaths, podPorts } from './pod-names.ts'
import type { KubernetesSettings } from './settings.ts'

/** Below the container's limit, so that the hungriest page goes before the kernel takes everything. */
const memoryShare = 0.92
/** An app runs in a container of its own: what the host supervises beside it must only never end. */
const placeholder = ['sleep', 'infinity']

export function hostSettings(spec: SessionSpec, settings: KubernetesSettings): Record<string, unknown> {
  const beside = spec.kind === 'app'
  const command = beside ? placeholder : spec.command
  const memory = beside ? undefined : (spec.limits.memory_bytes ?? settings.defaultLimits.memory_bytes)
  return {
    kind: spec.kind,
    ...(command && { command }),
    headless: spec.headless,
    display: spec.display,
    ...(spec.start_url && !beside && { start_url: spec.start_url }),
    start_url_wait: spec.start_url_wait,
    ...(!beside && { env: spec.env }),
    ...(spec.browser && { browser: spec.browser }),
    home: podPaths.home,
    profile: podPaths.profile,
    scratch: podPaths.scratch,
    artifacts: podPaths.artifacts,
    listen: { host: '0.0.0.0', port: podPorts.host },
    rfb: { port: podPorts.rfb },
    chromium_sandbox: settings.seccompProfile !== null,
    owns: 'namespace',
    ...(memory && { memory_bytes: Math.floor(memory * memoryShare) }),
    watch_stdin: false,
    exit_file: podPaths.lastWords,
  }
}
