/**
 * A build on a real cluster, without a privilege: git over the network, an image pushed to a registry with a login, its cache used again, and the image
 * run as a job. Needs, beside KUBECONFIG, PORTHOLE_TEST_REGISTRY (a docker-registry program), PORTHOLE_TEST_NODE (an address of this machine that pods
 * reach), PORTHOLE_TEST_BASE (an image of buildah's with a shell, with its history), PORTHOLE_TEST_IMPORT (program IMAGE ARCHIVE: `P image NAME FILE`), git, buildah, and deploy/seccomp/build.json on the node as porthole/build.json.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { type BuildSpec, registriesSecret } from '#protocol/works-spec.ts'
import { type SessionsNamespace, sessionsNamespace, testImages } from '../../../../deploy/testing/sessions-namespace.ts'
import type { JobRuntime } from '../../job-runtime.ts'
import { anAttempt, jobEnded, outputOf } from '../../testing/job-watching.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from '../kubernetes-runtime.ts'
import { kubernetesSettings } from '../settings.ts'

const program = process.env.PORTHOLE_TEST_REGISTRY
const node = process.env.PORTHOLE_TEST_NODE ?? ''
const wanted = ['PORTHOLE_TEST_REGISTRY', 'PORTHOLE_TEST_NODE', 'PORTHOLE_TEST_IMPORT']
const unset = wanted.filter(name => !process.env[name])

describe('a build as a pod', () => {
  let place: SessionsNamespace
  let runtime: KubernetesRuntime
  let jobs: JobRuntime
  let folder: string
  let registry: string
  let port: number
  let source: string
  const running: ChildProcess[] = []

  beforeEach(({ skip }) => {
    if (unset.length > 0)
      skip(`needs a registry program and the builder image: ${unset.join(', ')} not set (see the head of the file)`)
  })
  beforeAll(async () => {
    if (unset.length > 0) return
    folder = mkdtempSync(join(tmpdir(), 'porthole-build-'))
    port = await freePort()
    registry = `${node}:${port}`
    // bcrypt of "s3cret".
    writeFileSync(join(folder, 'htpasswd'), 'ann:$2b$04$.qQjoXmBSitL63wtRNAZ3./awVqGxTJYywwtMUclvTuEtOKGLlPEO\n')
    writeFileSync(
      join(folder, 'registry.yml'),
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/blobs}}\nhttp: {addr: "0.0.0.0:${port}"}\nauth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}\n`,
    )
    running.push(spawn(program!, ['serve', join(folder, 'registry.yml')], { stdio: 'ignore' }))
    const gitPort = await freePort()
    source = `git://${node}:${gitPort}/app`
    makeRepository(join(folder, 'git', 'app'), registry)
    running.push(
      spawn('git', ['daemon', '--export-all', '--reuseaddr', `--base-path=${join(folder, 'git')}`, `--port=${gitPort}`], {
        stdio: 'ignore',
      }),
    )
    const answers = () =>
      fetch(`http://${registry}/v2/`).then(
        answer => answer.status === 401,
        () => false,
      )
    await vi.waitUntil(answers, { timeout: 20_000 })
    const push = [
      'push',
      '--tls-verify=false',
      '--creds',
      'ann:s3cret',
      '--format',
      'oci',
      process.env.PORTHOLE_TEST_BASE ?? 'localhost/busybox:local',
    ]
    execFileSync('buildah', [...push, `docker://${registry}/base:1`], { stdio: 'ignore' })
    place = await sessionsNamespace()
    const settings = kubernetesSettings({
      ...place.environment,
      PORTHOLE_IMAGE_BUILDER: `${testImages.prefix}/builder:${testImages.tag}`,
      PORTHOLE_BUILD_SECCOMP_PROFILE: 'porthole/build.json',
      PORTHOLE_GIT_SCHEMES: 'git,https',
    })
    runtime = await createKubernetesRuntime({
      settings: { ...settings, selfTest: 'off', imagePullPolicy: 'IfNotPresent' },
      config: place.config,
      inCluster: false,
      clock: systemClock,
      random: Math.random,
      log: createLog(() => {}),
    })
    jobs = runtime.jobs
  }, 120_000)
  afterAll(async () => {
    await runtime?.close()
    await place?.dispose()
    for (const each of running) each.kill()
    if (folder) rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  async function build(change: Partial<BuildSpec> = {}, logins = { ann: 's3cret' } as Record<string, string>) {
    const [[user, password] = ['', '']] = Object.entries(logins)
    const auth = Buffer.from(`${user}:${password}`).toString('base64')
    const spec: BuildSpec = {
      type: 'build',
      action: 'build',
      source: { url: source, ref: 'main', subdirectory: null, secret: null },
      dockerfile: 'Dockerfile',
      target: null,
      build_args: { BASE: `${registry}/base:1`, GREETING: 'hello "world"' },
      image: `${registry}/team/app`,
      tags: [],
      push: true,
      no_cache: false,
      registry,
      limits: { cpu_millis: 2000, memory_bytes: 1024 * 2 ** 20 },
      ...change,
    }
    const secrets = { [registriesSecret]: JSON.stringify({ auths: { [registry]: { auth } }, insecure: [registry] }) }
    const attempt = { ...anAttempt({}, { secrets, timeoutMs: 240_000 }), spec }
    await jobs.start(attempt)
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    const output = (await outputOf(jobs, ended)).bytes.toString()
    return { ...ended, output }
  }

  it('looks at a repository', async () => {
    const { outcome, result, output } = await build({ action: 'inspect' })
    expect([outcome, output]).toEqual(['succeeded', expect.stringContaining('a dry run')])
    expect(result).toMatchObject({
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
      default_branch: 'main',
      branches: ['main', 'topic'],
      dockerfile: {
        path: 'Dockerfile',
        args: [
          { name: 'BASE', default: null },
          { name: 'GREETING', default: 'hi' },
        ],
        stages: ['made'],
      },
      images: [expect.stringMatching(/\/team\/app:\d{8}-\d{6}-[0-9a-f]{7}$/)],
    })
  }, 120_000)

  it('tries a login', async () => {
    expect(await build({ action: 'login' })).toMatchObject({ outcome: 'succeeded', result: { login: 'accepted' } })
    expect(await build({ action: 'login' }, { ann: 'wrong' })).toMatchObject({ outcome: 'failed', exitCode: expect.any(Number) })
  }, 120_000)

  it('builds, pushes, uses its cache, and the image runs', async () => {
    const first = await build()
    expect([first.outcome, first.output]).toEqual(['succeeded', expect.stringContaining('== pushing')])
    expect(first.output).not.toContain('s3cret')
    expect(first.result).toMatchObject({ digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) })
    const again = await build({ tags: ['v1', 'latest'] })
    expect(again.outcome).toBe('succeeded')
    expect(again.output).toMatch(/Using cache|Cache pulled/i)
    expect((again.result!.images as string[]).map(image => image.split(':').at(-1))).toEqual(['v1', 'latest'])
    const tags = await fetch(`http://${registry}/v2/team/app/tags/list`, {
      headers: { authorization: `Basic ${btoa('ann:s3cret')}` },
    })
    expect(((await tags.json()) as { tags: string[] }).tags).toEqual(expect.arrayContaining(['v1', 'latest']))

    // The node's container runtime has no login here: what was pushed is handed to it.
    const archive = join(folder, 'built.tar')
    const name = `localhost/built:${createHash('sha256').update(registry).digest('hex').slice(0, 8)}`
    execFileSync('buildah', ['pull', '--tls-verify=false', '--creds', 'ann:s3cret', `docker://${registry}/team/app:v1`], {
      stdio: 'ignore',
    })
    execFileSync('buildah', ['push', `${registry}/team/app:v1`, `docker-archive:${archive}:${name}`], { stdio: 'ignore' })
    execFileSync('buildah', ['rmi', `${registry}/team/app:v1`], { stdio: 'ignore' })
    execFileSync(process.env.PORTHOLE_TEST_IMPORT!, ['image', name, archive], { stdio: 'ignore' })
    const attempt = anAttempt({ image: name, limits: { memory_bytes: 64 * 2 ** 20 } }, {})
    await jobs.start(attempt)
    const ran = await jobEnded(jobs, attempt.name, 60_000)
    expect(ran).toMatchObject({ outcome: 'succeeded', exitCode: 0 })
    expect((await outputOf(jobs, ran)).bytes.toString()).toContain('hello "world" from the image')
  }, 400_000)

  it('a build that fails says where, and pushes nothing', async () => {
    const failed = await build({
      source: { url: source, ref: 'topic', subdirectory: null, secret: null },
      image: `${registry}/team/bad`,
      tags: ['v1'],
    })
    expect(failed).toMatchObject({ outcome: 'failed', cause: 'exit' })
    expect(failed.output).toContain('this step fails')
    const list = await fetch(`http://${registry}/v2/team/bad/tags/list`, {
      headers: { authorization: `Basic ${btoa('ann:s3cret')}` },
    })
    expect(((await list.json()) as { tags?: string[] }).tags ?? []).not.toContain('v1')
  }, 200_000)

  it.each([
    [{ source: { url: 'ext::sh -c id', ref: null, subdirectory: null, secret: null } }],
    [{ source: { url: 'https://g.example/a', ref: '--upload-pack=id', subdirectory: null, secret: null } }],
    [{ dockerfile: '../../../etc/passwd' }],
  ])('refuses what an honest API would not send: %j', async change => {
    await expect(build(change as Partial<BuildSpec>)).rejects.toThrow()
  })
})

function makeRepository(path: string, registry: string): void {
  mkdirSync(path, { recursive: true })
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', path, '-c', 'user.name=t', '-c', 'user.email=t@t.example', ...args], { stdio: 'ignore' })
  const dockerfile = (run: string) =>
    `ARG BASE\nFROM $BASE AS made\nARG GREETING=hi\nRUN ${run}\nFROM ${'$'}BASE\nCOPY --from=made /tmp/greeting /greeting\nCOPY app.sh /app.sh\nUSER 1000\nCMD ["/bin/sh", "/app.sh"]\n`
  execFileSync('git', ['init', '-q', '-b', 'main', path])
  writeFileSync(join(path, 'Dockerfile'), dockerfile('echo "$GREETING" >/tmp/greeting'))
  writeFileSync(join(path, 'app.sh'), 'echo "$(cat /greeting) from the image"\n')
  git('add', '.')
  git('commit', '-qm', `first for ${registry}`)
  git('checkout', '-qb', 'topic')
  writeFileSync(join(path, 'Dockerfile'), dockerfile('echo this step fails && false'))
  git('commit', '-qam', 'broken')
  git('checkout', '-q', 'main')
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
