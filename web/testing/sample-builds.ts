/** Pools, registries, secrets and webhooks for pictures and tests. */
import type { Pool, Registry, Secret, Webhook } from '../src/api/contract.ts'

const past = (now: number) => (days: number) => new Date(now - days * 86_400_000).toISOString()

export function samplePools(now: number): Pool[] {
  const at = past(now)
  const base = {
    object: 'pool' as const,
    project: null,
    cluster: 'clu_01eu',
    idle_size: 1,
    idle_after_seconds: 1800,
    max_age_seconds: 3600,
    overrides: {},
    starting: 0,
    status_reason: null,
    created_at: at(12),
  }
  return [
    {
      ...base,
      id: 'pol_01chr',
      template: 'chromium',
      size: 5,
      ready: 5,
      hits: 1841,
      misses: 23,
      refill_seconds: 1.412,
      last_asked_at: at(0.002),
    },
    {
      ...base,
      id: 'pol_02ff',
      template: 'firefox',
      size: 3,
      ready: 1,
      starting: 1,
      hits: 96,
      misses: 12,
      refill_seconds: 3.9,
      last_asked_at: at(0.0004),
      overrides: { headless: true, resources: { cpu: '1', memory: '2Gi' } },
    },
    {
      ...base,
      id: 'pol_03desk',
      template: 'desktop',
      cluster: 'clu_02us',
      size: 2,
      ready: 0,
      hits: 0,
      misses: 0,
      refill_seconds: null,
      last_asked_at: null,
      created_at: at(0.003),
      status_reason: 'The last one did not start: the image registry.example/desktop:9 could not be pulled: 401 Unauthorized.',
    },
  ]
}

export function sampleRegistries(now: number): Registry[] {
  const at = past(now)
  const base = { object: 'registry' as const, project: 'prj_01main', insecure: false }
  return [
    { ...base, id: 'reg_01', host: 'registry.example.com', username: 'robot-builds', created_at: at(80), updated_at: at(4) },
    {
      ...base,
      id: 'reg_02',
      host: 'images.lab.internal:5000',
      username: 'ci',
      insecure: true,
      created_at: at(9),
      updated_at: at(9),
    },
  ]
}

export function sampleSecrets(now: number): Secret[] {
  const at = past(now)
  const base = { object: 'secret' as const, project: 'prj_01main' }
  return [
    { ...base, id: 'sec_01', name: 'git-token', created_at: at(80), updated_at: at(21) },
    { ...base, id: 'sec_02', name: 'npm-token', created_at: at(60), updated_at: at(60) },
    { ...base, id: 'sec_03', name: 'shop.staging.password', created_at: at(2), updated_at: at(0.04) },
  ]
}

export function sampleWebhooks(now: number): Webhook[] {
  const at = past(now)
  const base = { object: 'webhook' as const, project: 'prj_01main' }
  return [
    {
      ...base,
      id: 'hok_01shop',
      name: 'shop, production',
      provider: 'github',
      branches: 'main,release/*',
      enabled: true,
      build: { git: { url: 'https://git.example/storefront/shop.git' }, image: 'registry.example.com/storefront/shop' },
      deploy: { mappings: { web: '{image}' }, namespace: 'shop' },
      url: 'https://porthole.example/v1/hooks/hok_01shop',
      created_at: at(40),
      last_delivery_at: at(0.06),
    },
    {
      ...base,
      id: 'hok_02atlas',
      name: null,
      provider: 'gitlab',
      branches: '**',
      enabled: false,
      build: { git: { url: 'https://git.example/maps/atlas.git' } },
      deploy: null,
      url: 'https://porthole.example/v1/hooks/hok_02atlas',
      created_at: at(1),
      last_delivery_at: null,
    },
  ]
}
