/** A believable installation for pictures and tests. Times are relative to `now`, so that ages stay the same. */
import type { PNG } from 'pngjs'
import type { Cluster, Link, Me, Session, Template, Volume } from '../src/api/contract.ts'
import type { FakeState } from './fake-api.ts'
import { sampleBuilds } from './fake-builds.ts'
import { sampleFiles } from './fake-files.ts'
import { sampleJobLog, sampleJobs } from './sample-jobs.ts'
import { sampleAudit, sampleProjects, sampleTokens } from './sample-tenants.ts'

const gib = 1024 ** 3

export function sampleMe(): Me {
  const none = {
    max_sessions: null,
    max_cpu: null,
    max_memory: null,
    max_storage: null,
    max_jobs: null,
    requests_per_minute: null,
    max_streams: null,
    max_sessions_per_user: null,
    max_streams_per_user: null,
  }
  return {
    id: 'tok_01ada',
    object: 'me',
    created_at: '2026-10-12T08:00:00Z',
    project: { id: 'prj_01main', object: 'project', name: 'Storefront' },
    user: 'ada',
    scopes: ['admin'],
    token: { id: 'tok_01ada', name: 'ada, laptop', scopes: ['admin'], expires_at: null, last4: 'x7q2' },
    limits: none,
    usage: { sessions: 8, cpu: '14', memory: '14Gi', storage: '0', jobs: 0, streams: 0 },
    remaining: none,
  }
}

export function sampleSession(now: number, over: Partial<Session> & { id: string }): Session {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  const phases = [
    { phase: 'created', at: at(-752) },
    { phase: 'scheduled', at: at(-751.7) },
    { phase: 'container_started', at: at(-750.4) },
    { phase: 'display_ready', at: at(-750.1) },
    { phase: 'browser_ready', at: at(-749.3) },
    { phase: 'running', at: at(-749.2) },
  ]
  const status = over.status ?? 'running'
  return {
    object: 'session',
    name: null,
    project: 'prj_01main',
    user: 'ada',
    template: 'chromium',
    kind: 'browser',
    browser: 'chromium',
    headless: false,
    start_url: null,
    cluster: 'clu_01eu',
    status,
    status_reason: null,
    phases,
    generation: 1,
    display: { width: 1280, height: 720 },
    resources: { cpu: '2', memory: '2Gi' },
    labels: {},
    volume: null,
    pool: null,
    clipboard: 'both',
    egress: { mode: 'public', allow: [] },
    recording: false,
    control: { mode: 'shared', viewer: null },
    created_at: at(-752),
    started_at: at(-749),
    ended_at: ['stopped', 'failed', 'expired'].includes(status) ? at(-95) : null,
    ttl_seconds: 28_800,
    idle_timeout_seconds: 1800,
    expires_at: at(28_048),
    idle_expires_at: at(1_640),
    last_activity_at: at(-160),
    termination_reason: null,
    queue: null,
    pod: {
      name: 'ses-01jv8m3q-g1',
      namespace: 'porthole-sessions',
      phase: 'Running',
      node: 'node-eu-west-3b-7',
      ip: '10.42.3.118',
      containers: [{ name: 'session', ready: true, restarts: 0, state: 'running', reason: null }],
    },
    urls: {
      view: `/sessions/${over.id}`,
      vnc: `wss://porthole.example/v1/sessions/${over.id}/vnc`,
      playwright: `wss://porthole.example/v1/sessions/${over.id}/playwright`,
      cdp: `wss://porthole.example/v1/sessions/${over.id}/cdp`,
    },
    notes: [],
    versions: { playwright: '1.65.1', chromium: '156.0.8078.73', xvnc: '1.12.0' },
    ...over,
  }
}

export function sampleClusters(now: number): Cluster[] {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  const capabilities = (over: Partial<NonNullable<Cluster['capabilities']>>) => ({
    runtime: 'kubernetes' as const,
    kinds: ['browser', 'desktop', 'app'],
    browsers: ['chromium', 'firefox'],
    features: ['display', 'volumes', 'egress', 'warm'],
    versions: { kubernetes: '1.33.2' },
    notes: [],
    capacity: { sessions: 40, cpu_millis: 96_000, memory_bytes: 384 * gib },
    ...over,
  })
  const cluster = (id: string, name: string, over: Partial<Cluster>): Cluster => {
    const capability = over.capabilities === undefined ? capabilities({}) : over.capabilities
    return {
      ...pendingCluster(id, name, at(-9_000_000)),
      status: 'online',
      connected: true,
      agent_version: '0.1.0',
      runtime: capability?.runtime ?? null,
      capabilities: capability,
      capacity: capability?.capacity ?? null,
      connected_at: at(-184_000),
      last_seen_at: at(-3),
      ...over,
    }
  }
  return [
    cluster('clu_01eu', 'eu-west', { load: { sessions: 9, streams: 14, cpu_millis_used: 22_400, memory_bytes_used: 71 * gib } }),
    cluster('clu_02us', 'us-east', {
      scheduling: 'cordoned',
      capabilities: capabilities({
        versions: { kubernetes: '1.20.15' },
        notes: ['NetworkPolicy is not enforced here: sessions can reach each other.'],
      }),
      load: { sessions: 38, streams: 41, cpu_millis_used: 91_000, memory_bytes_used: 351 * gib },
    }),
    cluster('clu_03ap', 'ap-south', {
      status: 'offline',
      connected: false,
      connected_at: null,
      last_seen_at: at(-5_400),
      load: { sessions: 2, streams: 0, cpu_millis_used: 3_000, memory_bytes_used: 6 * gib },
    }),
    pendingCluster('clu_04lab', 'lab', at(-60)),
  ]
}

export function pendingCluster(id: string, name: string, created_at: string): Cluster {
  return {
    id,
    object: 'cluster',
    name,
    project: null,
    labels: {},
    status: 'pending',
    connected: false,
    scheduling: 'open',
    agent_version: null,
    runtime: null,
    capabilities: null,
    capacity: null,
    load: null,
    connected_at: null,
    last_seen_at: null,
    created_at,
  }
}

export function sampleTemplates(): Template[] {
  const base = {
    object: 'template' as const,
    project: null,
    updated_at: '2026-11-01T00:00:00Z',
    created_at: '2026-11-01T00:00:00Z',
    ttl_seconds: 28_800,
    idle_timeout_seconds: 1800,
    display: { width: 1280, height: 720 },
  }
  return [
    {
      ...base,
      id: 'chromium',
      name: 'Chromium',
      kind: 'browser',
      browser: 'chromium',
      description: 'A headful Chromium, driven by Playwright or CDP and watched live. People and scripts share one page.',
    },
    {
      ...base,
      id: 'firefox',
      name: 'Firefox',
      kind: 'browser',
      browser: 'firefox',
      description: 'A headful Firefox, driven by Playwright and watched live.',
    },
    {
      ...base,
      id: 'webkit',
      name: 'WebKit',
      kind: 'browser',
      browser: 'webkit',
      description: "A headful WebKit (Safari's engine), driven by Playwright and watched live.",
    },
    {
      ...base,
      id: 'desktop',
      name: 'Desktop',
      kind: 'desktop',
      display: { width: 1920, height: 1080 },
      description: 'A personal Linux desktop. Give it a volume, and its home outlives the session.',
    },
  ]
}

function sampleVolumes(now: number): Volume[] {
  const at = (days: number) => new Date(now + days * 86_400_000).toISOString()
  const base = { object: 'volume' as const, project: 'prj_01main', user: 'grace', session: null }
  return [
    {
      ...base,
      id: 'vol_01grace',
      name: 'grace-home',
      cluster: 'clu_01eu',
      size: '20Gi',
      session: 'ses_03c',
      created_at: at(-30),
      last_used_at: at(-0.2),
    },
    {
      ...base,
      id: 'vol_02shop',
      name: 'shop sign-ins',
      user: 'ada',
      cluster: 'clu_01eu',
      size: '2Gi',
      created_at: at(-9),
      last_used_at: at(-1),
    },
    {
      ...base,
      id: 'vol_03new',
      name: 'atlas',
      user: 'ada',
      cluster: null,
      size: null,
      created_at: at(-0.01),
      last_used_at: null,
    },
  ]
}

/** Secret of a link to watch `ses_01a`. */
export const sampleSecret = `vnc-lk-${'sample'.padEnd(49, '0')}`

function sampleLinks(now: number): [string, Link][] {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  const base = { object: 'link' as const, session: 'ses_01a', shared_by: 'ada', viewers: 0, revoked_at: null }
  const view = { ...base, id: 'lnk_01', role: 'view' as const, max_viewers: 5, created_at: at(-1500), expires_at: at(2100) }
  const control = { ...base, id: 'lnk_02', role: 'control' as const, max_viewers: null, created_at: at(-60), expires_at: at(840) }
  return [
    [sampleSecret, view],
    [`vnc-lk-${'control'.padEnd(49, '0')}`, control],
  ]
}

export function sampleState(now: number, pictures: readonly PNG[] = []): FakeState {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  const sessions = [
    sampleSession(now, {
      id: 'ses_01a',
      name: 'checkout-test',
      start_url: 'https://shop.example',
      labels: { team: 'payments', run: '4182' },
      notes: ['Chromium runs without its own sandbox: this node denies user namespaces.'],
    }),
    sampleSession(now, {
      id: 'ses_02b',
      name: 'Research agent, flights to Lisbon',
      user: 'agents',
      expires_at: at(172),
      idle_expires_at: null,
      created_at: at(-3400),
    }),
    sampleSession(now, {
      id: 'ses_03c',
      name: 'grace-desktop',
      template: 'desktop',
      kind: 'desktop',
      browser: null,
      user: 'grace',
      display: { width: 1920, height: 1080 },
      created_at: at(-18_400),
      volume: 'vol_01grace',
      urls: { view: '/sessions/ses_03c', vnc: '/v1/sessions/ses_03c/vnc', playwright: null, cdp: null },
    }),
    sampleSession(now, { id: 'ses_04d', name: 'invoice-reader', user: 'agents', created_at: at(-840), idle_expires_at: at(44) }),
    sampleSession(now, {
      id: 'ses_05e',
      status: 'starting',
      created_at: at(-4),
      started_at: null,
      phases: [
        { phase: 'created', at: at(-4) },
        { phase: 'scheduled', at: at(-3.6) },
        { phase: 'container_started', at: at(-1.9) },
        { phase: 'display_ready', at: at(-1.7) },
      ],
      name: 'signup-flow',
    }),
    sampleSession(now, {
      id: 'ses_06f',
      status: 'queued',
      cluster: null,
      created_at: at(-31),
      started_at: null,
      name: 'load-07',
      phases: [],
      pod: null,
      queue: { position: 2, reason: 'eu-west: 0 of 40 places free; us-east takes no new sessions.' },
    }),
    sampleSession(now, {
      id: 'ses_07g',
      name: 'price-watch',
      headless: true,
      display: null,
      created_at: at(-7_300),
      urls: {
        view: '/sessions/ses_07g',
        vnc: null,
        playwright: '/v1/sessions/ses_07g/playwright',
        cdp: '/v1/sessions/ses_07g/cdp',
      },
    }),
    sampleSession(now, {
      id: 'ses_08h',
      status: 'unreachable',
      cluster: 'clu_03ap',
      name: 'mumbai-smoke',
      created_at: at(-9_000),
      status_reason: 'The cluster is offline; the session was running when it was last heard of.',
    }),
    sampleSession(now, {
      id: 'ses_09i',
      status: 'failed',
      name: 'visual-regression',
      created_at: at(-260),
      status_reason:
        'The image registry.example/visual:latest could not be pulled: 401 Unauthorized. Check the pull secret of the cluster.',
    }),
    sampleSession(now, {
      id: 'ses_10j',
      status: 'stopped',
      name: 'a very long name that somebody gave a session because nothing stopped them from writing a whole sentence here',
      created_at: at(-90_000),
      termination_reason: 'idle',
    }),
    sampleSession(now, { id: 'ses_11k', status: 'expired', created_at: at(-40_000), termination_reason: 'ttl' }),
  ]
  const shown = sessions.filter(one => one.status === 'running' && !one.headless)
  return {
    me: sampleMe(),
    sessions: new Map(sessions.map(one => [one.id, one])),
    clusters: new Map(sampleClusters(now).map(one => [one.id, one])),
    templates: sampleTemplates(),
    tokens: sampleTokens(now),
    projects: sampleProjects(now),
    audit: sampleAudit(now),
    pictures: new Map(
      pictures.length > 0
        ? shown.flatMap((one, index) =>
            pictures[index % pictures.length] ? [[one.id, pictures[index % pictures.length] as PNG] as const] : [],
          )
        : [],
    ),
    logs: new Map([['ses_01a', sampleLog()]]),
    links: new Map(sampleLinks(now)),
    builds: sampleBuilds(now),
    files: sampleFiles(),
    volumes: new Map(sampleVolumes(now).map(one => [one.id, one])),
    archives: new Map(),
    jobs: new Map(sampleJobs(now).map(one => [one.id, one])),
    jobLogs: new Map([['job_01run', sampleJobLog()]]),
  }
}

function sampleLog(): string {
  const lines = [
    'host: display :99 ready in 93 ms (1280x720x24)',
    'matchbox: managing :99',
    'host: chromium pid 41, user data in /session/profile',
    '\x1b[33mchromium\x1b[0m: DevTools listening on ws://127.0.0.1:38211/devtools/browser/2b41…',
    'host: playwright bound, version 1.65.1',
    'host: ready after 1192 ms',
    'chromium: [41:41:1121/120412.118] INFO:CONSOLE(12) "cart restored", source: https://shop.example/app.js (12)',
    'chromium: <img src=x onerror=alert(1)> stays text',
  ]
  return `${[...lines, ...Array.from({ length: 60 }, (_, index) => `chromium: [41:57] request ${index + 1} GET https://shop.example/api/items?page=${index} 200 ${(index * 37) % 240} ms`)].join('\n')}\n`
}
