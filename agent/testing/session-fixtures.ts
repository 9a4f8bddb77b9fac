import type { Open } from '#protocol/link-messages.ts'
import type { DesiredSession, SessionSpec } from '#protocol/session-spec.ts'

export function aSpec(overrides: Partial<SessionSpec> = {}): SessionSpec {
  return {
    kind: 'browser',
    template: 'chromium',
    project: 'prj_1',
    user: 'ann',
    name: null,
    headless: false,
    display: { width: 1280, height: 720 },
    start_url_wait: 'none',
    env: {},
    labels: {},
    limits: {},
    requests: {},
    ports: [],
    restart: 'never',
    start_timeout_ms: 60_000,
    clipboard: 'both',
    egress: { mode: 'all', allow: [] },
    recording: false,
    ...overrides,
  }
}

export function aDesired(id: string, overrides: Partial<DesiredSession> = {}): DesiredSession {
  return {
    kind: 'session',
    id,
    generation: 1,
    state: 'running',
    spec: aSpec(),
    ttl_remaining_ms: null,
    idle_timeout_ms: null,
    touches: 0,
    ...overrides,
  }
}

export function anOpen(overrides: Partial<Open> = {}): Open {
  return {
    type: 'open',
    stream: 'str_1',
    url: '',
    key: 'k',
    kind: 'port',
    role: 'control',
    session: 'ses_a',
    target: { port: 9000 },
    clipboard: 'both',
    deadline_ms: 10_000,
    remaining_ms: 3_600_000,
    ...overrides,
  }
}
