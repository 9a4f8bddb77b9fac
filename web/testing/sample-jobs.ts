/** Jobs for pictures and tests. */
import type { Job } from '../src/api/contract.ts'

export function sampleJob(now: number, over: Partial<Job> & { id: string }): Job {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  const status = over.status ?? 'succeeded'
  const isOver = ['succeeded', 'failed', 'canceled'].includes(status)
  return {
    object: 'job',
    type: 'run',
    name: null,
    project: 'prj_01main',
    user: 'ada',
    status,
    status_reason: null,
    canceling: false,
    cause: isOver ? 'exit' : null,
    exit_code: isOver ? 0 : null,
    attempt: 1,
    max_attempts: 1,
    cluster: status === 'queued' ? null : 'clu_01eu',
    priority: 0,
    labels: {},
    limits: { cpu: '1', memory: '1Gi' },
    timeout_seconds: 3600,
    spec: { command: ['/bin/sh', '-c', 'make test'], image: 'registry.example/tools:1.4', env: {} },
    progress: null,
    resources: [],
    result: null,
    duration_seconds: isOver ? 74.2 : null,
    queue: null,
    created_at: at(-300),
    started_at: status === 'queued' ? null : at(-290),
    ended_at: isOver ? at(-216) : null,
    urls: { logs: '' },
    ...over,
  }
}

export function sampleJobs(now: number): Job[] {
  const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
  return [
    sampleJob(now, {
      id: 'job_01run',
      name: 'checkout tests',
      status: 'running',
      created_at: at(-95),
      started_at: at(-92),
      progress: { percent: 62, step: 'suite 31 of 50' },
      labels: { team: 'payments' },
    }),
    sampleJob(now, {
      id: 'job_02wait',
      name: 'atlas import',
      user: 'grace',
      status: 'queued',
      created_at: at(-40),
      queue: { position: 3, reason: 'eu-west: 5 of 5 jobs run; us-east takes nothing new.' },
    }),
    sampleJob(now, {
      id: 'job_03fail',
      name: 'nightly e2e',
      status: 'failed',
      exit_code: 3,
      attempt: 2,
      max_attempts: 3,
      created_at: at(-4_000),
      status_reason: 'It ended with code 3.',
    }),
    sampleJob(now, {
      id: 'job_04ok',
      created_at: at(-9_000),
      result: { digest: 'sha256:9b1c…', tags: ['shop:1.4', 'shop:20261121-4c1f0e2'] },
    }),
    sampleJob(now, {
      id: 'job_05mem',
      name: 'thumbnails',
      user: 'agents',
      status: 'failed',
      cause: 'out_of_memory',
      exit_code: 137,
      created_at: at(-20_000),
    }),
    sampleJob(now, {
      id: 'job_06can',
      name: 'load of the old shop',
      status: 'canceled',
      cause: 'canceled',
      exit_code: null,
      created_at: at(-90_000),
    }),
    sampleJob(now, {
      id: 'job_07man',
      name: 'shop, staging',
      type: 'manifest',
      status: 'succeeded',
      created_at: at(-1_200),
      spec: { prune: true },
      resources: [
        { kind: 'Deployment', name: 'shop', namespace: 'porthole-sessions', state: 'Available', reason: null },
        { kind: 'Job', name: 'migrate', namespace: 'porthole-sessions', state: 'Complete', reason: null },
        { kind: 'Service', name: 'shop', namespace: 'porthole-sessions', state: 'Applied', reason: null },
      ],
      result: { diff: '--- Deployment/shop\n+++ Deployment/shop\n   spec:\n-    replicas: 2\n+    replicas: 3\n     selector:' },
    }),
    sampleJob(now, {
      id: 'job_08hook',
      type: 'build',
      created_at: at(-5_400),
      labels: { webhook: 'hok_01shop', branch: 'main' },
      spec: {
        action: 'build',
        source: { url: 'https://git.example/storefront/shop.git', ref: '4c1f0e29ab37d1c07d0b5a4f6e1c2d3b4a5f6071' },
        image: 'registry.example.com/storefront/shop',
      },
    }),
    sampleJob(now, {
      id: 'job_09hook',
      type: 'build',
      status: 'failed',
      exit_code: 1,
      created_at: at(-190_000),
      status_reason: 'Dockerfile:14: npm ci ended with code 1.',
      labels: { webhook: 'hok_01shop', branch: 'release-1.4' },
      spec: {
        action: 'build',
        source: { url: 'https://git.example/storefront/shop.git', ref: '07d0b5a4f6e1c2d3b4a5f60718293a4b53f2a91c' },
      },
    }),
  ]
}

export function sampleJobLog(): string {
  const suites = Array.from({ length: 31 }, (_, index) =>
    index === 17
      ? `\x1b[1;31m✗\x1b[0m suite ${index + 1}: \x1b[31mexpected 84.50, got 84.5\x1b[0m`
      : `\x1b[32m✓\x1b[0m suite ${index + 1} \x1b[2m(${(index * 37) % 900} ms)\x1b[0m`,
  )
  return ['\x1b[1m$ make test\x1b[0m', '\x1b[38;5;39mcollecting\x1b[0m 50 suites', ...suites, ''].join('\n')
}
