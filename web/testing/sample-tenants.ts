/** Tokens, projects and records for pictures and tests. */
import type { AuditRecord, Project, Token } from '../src/api/contract.ts'

export function sampleTokens(now: number): Token[] {
  const at = (days: number) => new Date(now + days * 86_400_000).toISOString()
  const base = {
    object: 'token' as const,
    project: 'prj_01main',
    user: 'ada',
    status: 'active' as const,
    revoked_at: null,
    grace_until: null,
    rotated_from: null,
    created_by: null,
    allowed_cidrs: null,
    limits: {},
  }
  return [
    {
      ...base,
      id: 'tok_01ada',
      name: 'ada, laptop',
      scopes: ['admin'],
      created_at: at(-40),
      expires_at: null,
      last_used_at: at(-0.001),
      last4: 'x7q2',
    },
    {
      ...base,
      id: 'tok_02ci',
      name: 'Nightly checkout test',
      user: 'ci',
      scopes: ['sessions:read', 'sessions:write', 'sessions:connect'],
      created_at: at(-20),
      expires_at: at(70),
      last_used_at: at(-0.35),
      last4: '0b1d',
      allowed_cidrs: ['10.0.0.0/8'],
      limits: { max_sessions: 3 },
    },
    {
      ...base,
      id: 'tok_03ag',
      name: 'Price research agent',
      user: 'agents',
      scopes: ['sessions:read', 'sessions:write', 'sessions:connect', 'jobs:read'],
      created_at: at(-12),
      expires_at: at(3),
      last_used_at: at(-0.02),
      last4: 'm4zz',
    },
    {
      ...base,
      id: 'tok_04old',
      name: 'Old build server',
      user: 'ci',
      scopes: ['jobs:write', 'jobs:read'],
      status: 'rotated',
      grace_until: at(0.5),
      created_at: at(-80),
      expires_at: at(10),
      last_used_at: at(-1.4),
      last4: 'k3k9',
    },
    {
      ...base,
      id: 'tok_05gone',
      name: 'Trial of the visual regression suite with a very long name that nobody shortened',
      user: 'grace',
      scopes: ['sessions:read'],
      status: 'revoked',
      revoked_at: at(-3),
      created_at: at(-30),
      expires_at: at(60),
      last_used_at: null,
      last4: 'aa01',
    },
  ]
}

export function sampleProjects(now: number): Project[] {
  const at = (days: number) => new Date(now + days * 86_400_000).toISOString()
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
  const base = { object: 'project' as const, suspended_at: null }
  return [
    {
      ...base,
      id: 'prj_01main',
      name: 'Storefront',
      created_at: at(-40),
      quotas: { ...none, max_sessions: 20, max_cpu: '40', max_memory: '64Gi', requests_per_minute: 600 },
      usage: { sessions: 8, cpu: '14', memory: '14Gi', storage: '0', jobs: 0, streams: 0 },
    },
    {
      ...base,
      id: 'prj_02atlas',
      name: 'Atlas',
      created_at: at(-12),
      quotas: { ...none, max_sessions: 10, max_memory: '32Gi', max_storage: '100Gi', max_jobs: 5 },
      usage: { sessions: 10, cpu: '7500m', memory: '29Gi', storage: '61Gi', jobs: 0, streams: 0 },
    },
    {
      ...base,
      id: 'prj_03lab',
      name: 'Lab',
      created_at: at(-3),
      quotas: none,
      usage: { sessions: 0, cpu: '0', memory: '0', storage: '0', jobs: 0, streams: 0 },
    },
    {
      ...base,
      id: 'prj_04old',
      name: 'Trial of last spring, kept for its records',
      created_at: at(-200),
      suspended_at: at(-30),
      quotas: { ...none, max_sessions: 0 },
      usage: { sessions: 0, cpu: '0', memory: '0', storage: '2Gi', jobs: 0, streams: 0 },
    },
  ]
}

export function sampleAudit(now: number): AuditRecord[] {
  const steps: [string, string, string, Partial<AuditRecord>][] = [
    ['session.create', 'ada', 'ses_01a', { detail: { template: 'chromium', name: 'checkout-test' } }],
    ['stream.open', 'ada', 'ses_01a', { detail: { kind: 'vnc', role: 'control' } }],
    ['link.create', 'ada', 'lnk_01', { detail: { session: 'ses_01a', role: 'view' } }],
    [
      'stream.open',
      'lnk_01',
      'ses_01a',
      { actor: { kind: 'link', id: 'lnk_01', token: 'tok_01ada' }, detail: { kind: 'vnc', role: 'view' } },
    ],
    ['stream.close', 'lnk_01', 'ses_01a', { actor: { kind: 'link', id: 'lnk_01', token: 'tok_01ada' } }],
    ['token.revoke', 'ada', 'tok_05gone', {}],
    ['auth.login', 'mallory', 'tok_05gone', { outcome: 'refused', address: '203.0.113.9' }],
    ['cluster.drain', 'ada', 'clu_02us', {}],
    ['session.delete', 'ci', 'ses_00z', { outcome: 'failed', detail: { why: '<img src=x onerror=alert(1)>' } }],
    ['agent.enroll', 'eu-west', 'clu_01eu', { actor: { kind: 'agent', id: 'eu-west', token: null } }],
  ]
  return Array.from({ length: 70 }, (_, index) => {
    const [action, user, target, more] = steps[index % steps.length] as (typeof steps)[number]
    return {
      id: `aud_${String(999 - index).padStart(4, '0')}`,
      object: 'audit_record' as const,
      created_at: new Date(now - index * 131_000 - 4_000).toISOString(),
      project: 'prj_01main',
      actor: { kind: 'token', id: user, token: 'tok_01ada' },
      action,
      target,
      outcome: 'ok',
      address: '198.51.100.24',
      request_id: `req_0${index}`,
      detail: {},
      ...more,
    }
  })
}
