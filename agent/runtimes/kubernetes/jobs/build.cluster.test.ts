/**
 * A build on a real cluster, without a privilege: git over the network, an image pushed to a registry with a login, its cache used again, and the image
 * run as a job. What it needs is in `agent/runtimes/testing/build-lab.ts`.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { type BuildSpec, registriesSecret } from '#protocol/works-spec.ts'
import { type SessionsNamespace, sessionsNamespace, testImages } from '../../../../deploy/testing/sessions-namespace.ts'
import type { JobRuntime } from '../../job-runtime.ts'
import { type BuildLab, buildLab, whyNoBuilds } from '../../testing/build-lab.ts'
import { anAttempt, jobEnded, jobSeen, outputOf } from '../../testing/job-watching.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from '../kubernetes-runtime.ts'
import { kubernetesSettings } from '../settings.ts'

describe('a build as a pod', () => {
  let place: SessionsNamespace
  let runtime: KubernetesRuntime
  let jobs: JobRuntime
  let registry: string
  let lab: BuildLab
  let source: string

  beforeEach(({ skip }) => {
    if (whyNoBuilds) skip(whyNoBuilds)
  })
  beforeAll(async () => {
    if (whyNoBuilds) return
    lab = await buildLab()
    ;({ registry, source } = lab)
    place = await sessionsNamespace()
    const settings = kubernetesSettings({
      ...place.environment,
      PORTHOLE_IMAGE_BUILDER: `${testImages.prefix}/builder:${process.env.PORTHOLE_TEST_BUILDER_TAG ?? testImages.tag}`,
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
    lab?.dispose()
  }, 60_000)

  async function build(change: Partial<BuildSpec> = {}, logins = { ann: 's3cret' } as Record<string, string>, archive?: Buffer) {
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
    if (archive) await bring(attempt.name, archive)
    const ended = await jobEnded(jobs, attempt.name, 240_000)
    const output = (await outputOf(jobs, ended)).bytes.toString()
    return { ...ended, output }
  }

  /** Cut off once, then whole. */
  async function bring(name: string, archive: Buffer) {
    const { uid } = await jobSeen(jobs, name, each => each.awaitsContext === true && each.phase === 'running', 120_000)
    const signal = AbortSignal.timeout(120_000)
    const given = (bytes: Buffer) => async () =>
      (async function* () {
        yield bytes.subarray(0, 5)
        yield bytes.subarray(5)
      })()
    // The port is there a moment after the pod runs.
    for (let tries = 0; ; tries++) {
      const short = await jobs.deliver!(name, uid, given(archive.subarray(0, 50)), signal).catch((error: Error) => error.message)
      if (/50 bytes came/.test(String(short))) break
      if (tries > 60) throw new Error(`it never listened: ${short}`)
      await new Promise(resolve => setTimeout(resolve, 500))
    }
    await jobs.deliver!(name, uid, given(archive), signal)
    await jobs.deliver!(name, uid, given(archive), signal)
  }

  it('is made from what was sent', async () => {
    const archive = lab.archive()
    const upload = { id: 'upl_1', bytes: archive.length }
    const built = await build(
      { source: { url: '', ref: null, subdirectory: null, secret: null, upload }, image: `${registry}/team/sent` },
      undefined,
      archive,
    )
    expect([built.outcome, built.output]).toEqual(['succeeded', expect.stringContaining('== pushing')])
    expect(built.result).toMatchObject({
      context: expect.stringMatching(/^[0-9a-f]{64}$/),
      images: [expect.stringMatching(/\/team\/sent:\d{8}-\d{6}-[0-9a-f]{7}$/)],
      digest: expect.stringMatching(/^sha256:/),
    })
  }, 400_000)

  it('looks at a repository', async () => {
    const { outcome, result, output } = await build({ action: 'inspect' })
    expect([outcome, output]).toEqual(['succeeded', expect.stringContaining('a dry run')])
    expect(result).toMatchObject({
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
      default_branch: 'main',
      branches: ['main', 'slow', 'topic'],
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

    const name = lab.handToNode('team/app:v1')
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
