/**
 * A build in a sandbox of this machine, by a root that is nobody outside: from a repository served on this machine's own address, and from what was sent. The
 * base is made from scratch. Needs git, buildah and bubblewrap; a machine without them has no builds, and says so.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { BuildSpec } from '#protocol/works-spec.ts'
import { JobRefused } from '../../job-runtime.ts'
import type { Runtime } from '../../runtime.ts'
import { anAttempt, jobEnded, jobSeen, outputOf } from '../../testing/job-watching.ts'
import { expectNoneLeft } from '../../testing/left-over.ts'
import { createLocalRuntime } from '../local-runtime.ts'
import { findPrograms } from '../programs.ts'

const programs = findPrograms()
const address = Object.values(networkInterfaces())
  .flatMap(each => each ?? [])
  .find(each => each.family === 'IPv4' && !each.internal && !each.address.startsWith('169.254.'))?.address
const missing = [
  ...(programs.git ? [] : ['git']),
  ...(programs.buildah ? [] : ['buildah']),
  ...(programs.bwrap ? [] : ['bubblewrap']),
  ...(address ? [] : ['an address beyond loopback']),
]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-build-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a machine without a builder offers none, says why, and refuses', async () => {
  const none = { buildah: null }
  const runtime = await createLocalRuntime({ dataDir: join(folder, 'none'), programs: none })
  expect((await runtime.jobs!.capabilities()).types).toEqual(['run'])
  expect((await runtime.capabilities()).notes.join()).toMatch(/No builds: buildah is not installed/)
  const attempt = { ...anAttempt({}), spec: build({}) }
  await expect(runtime.jobs!.start(attempt)).rejects.toThrow(JobRefused)
  await runtime.close()
}, 60_000)

function build(change: Partial<BuildSpec>, url = 'git://git.example.com/app'): BuildSpec {
  return {
    ...{ type: 'build', action: 'build', source: { url, ref: 'main', subdirectory: null, secret: null } },
    ...{ dockerfile: 'Dockerfile', target: null, build_args: { WHO: 'ann' }, image: null, tags: ['v1'] },
    ...{ push: false, no_cache: false, registry: null, limits: {} },
    ...change,
  }
}

describe('a build', { timeout: 300_000 }, () => {
  let runtime: Runtime
  let git: ChildProcess
  let url: string
  beforeEach(({ skip }) => {
    if (missing.length > 0) skip(`no ${missing.join(', no ')}`)
  })
  beforeAll(async () => {
    if (missing.length > 0) return
    const port = await freePort()
    makeRepository(join(folder, 'git', 'app'))
    const served = ['daemon', '--export-all', '--reuseaddr', `--base-path=${join(folder, 'git')}`, `--port=${port}`]
    git = spawn('git', served, { stdio: 'ignore' })
    await vi.waitUntil(() => answers(port), { timeout: 30_000 })
    url = `git://${address}:${port}/app`
    runtime = await createLocalRuntime({ dataDir: join(folder, 'data'), jobs: { gitSchemes: ['git'] } })
  }, 90_000)
  afterAll(async () => {
    await runtime?.close()
    git?.kill()
  }, 60_000)

  async function done(change: Partial<BuildSpec>) {
    const attempt = { ...anAttempt({}, { timeoutMs: 240_000 }), spec: build(change, url) }
    await runtime.jobs!.start(attempt)
    const ended = await jobEnded(runtime.jobs!, attempt.name, 240_000)
    return { ...ended, output: (await outputOf(runtime.jobs!, ended)).bytes.toString() }
  }

  it('runs the steps of its Dockerfile, and leaves nothing running', async () => {
    expect((await runtime.jobs!.capabilities()).types).toEqual(['run', 'build'])
    const ended = await done({})
    expect([ended.outcome, ended.output]).toEqual(['succeeded', expect.stringContaining('built for ann')])
    expect(ended).toMatchObject({
      type: 'build',
      exitCode: 0,
      result: { images: ['localhost/build:v1'], commit: expect.any(String) },
    })
    await expectNoneLeft(join(folder, 'data'))
  })

  it('is made from what was sent, of any users, and sees nothing of this machine', async () => {
    const path = join(folder, 'sent')
    makeRepository(path)
    const steps = [
      'FROM scratch',
      'COPY . /',
      'RUN for f in /proc/1/root/* /home/porthole/* /run/porthole/* /run/context/*; do [ -e "$f" ] && echo "saw $f"; done; echo looked',
      'RUN read -r line </etc/passwd; echo "root is $line"; while read -r line; do case $line in Uid:*) echo "uid $line" ;; esac; done </proc/self/status',
      'USER 1234',
      'RUN while read -r line; do case $line in Uid:*) echo "uid $line" ;; esac; done </proc/self/status',
    ]
    writeFileSync(join(path, 'Dockerfile'), `${steps.join('\n')}\n`)
    execFileSync('tar', ['-czf', join(folder, 'sent.tar.gz'), '-C', path, '.'])
    const archive = readFileSync(join(folder, 'sent.tar.gz'))
    const upload = { id: 'upl_1', bytes: archive.length }
    const attempt = {
      ...anAttempt({}, { timeoutMs: 240_000, secrets: { '/registries': '{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}' } }),
      spec: build({ source: { url: '', ref: null, subdirectory: null, secret: null, upload } }),
    }
    await runtime.jobs!.start(attempt)
    const waiting = await jobSeen(runtime.jobs!, attempt.name, each => each.awaitsContext === true && each.phase === 'running')
    const cut = async function* () {
      yield archive.subarray(0, 10)
    }
    const signal = AbortSignal.timeout(60_000)
    await expect(runtime.jobs!.deliver!(attempt.name, waiting.uid, async () => cut(), signal)).rejects.toThrow(/10 bytes came/)
    const whole = async function* () {
      yield archive
    }
    await runtime.jobs!.deliver!(attempt.name, waiting.uid, async () => whole(), signal)
    const ended = await jobEnded(runtime.jobs!, attempt.name, 240_000)
    const output = (await outputOf(runtime.jobs!, ended)).bytes.toString()
    expect([ended.outcome, output]).toEqual(['succeeded', expect.stringContaining('looked')])
    expect(output).toMatch(/uid Uid:\s+0\s+0[\s\S]*uid Uid:\s+1234\s+1234/)
    expect(output).not.toMatch(/^saw |hunter2|aHVudGVy/m)
    expect(ended.result).toMatchObject({ images: ['localhost/build:v1'], context: expect.stringMatching(/^[0-9a-f]{64}$/) })
    await runtime.jobs!.remove(ended.name, ended.uid)
    expect(existsSync(join(folder, 'data', 'jobs', attempt.name))).toBe(false)
  })

  it('that is canceled while it waits leaves nothing running', async () => {
    const upload = { id: 'upl_2', bytes: 100 }
    const source = { url: '', ref: null, subdirectory: null, secret: null, upload }
    const attempt = { ...anAttempt({}, { timeoutMs: 240_000 }), spec: build({ source }) }
    await runtime.jobs!.start(attempt)
    const { uid } = await jobSeen(runtime.jobs!, attempt.name, each => each.awaitsContext === true && each.phase === 'running')
    await vi.waitUntil(
      () => existsSync(spoolOf(attempt.name)) && /waiting for what/.test(readFileSync(spoolOf(attempt.name), 'utf8')),
      {
        timeout: 60_000,
      },
    )
    await runtime.jobs!.cancel(attempt.name, uid, 5_000)
    const ended = await jobEnded(runtime.jobs!, attempt.name, 60_000)
    expect(ended).toMatchObject({ outcome: 'canceled', cause: 'canceled' })
    await expectNoneLeft(join(folder, 'data'))
  })

  it('looks at a repository only', async () => {
    const ended = await done({ action: 'inspect' })
    expect(ended).toMatchObject({
      outcome: 'succeeded',
      result: { default_branch: 'main', dockerfile: { args: [{ name: 'WHO' }] } },
    })
    expect(ended.output).not.toContain('built for')
  })

  it('that fails says at which step', async () => {
    const ended = await done({ build_args: { WHO: 'nobody' } })
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'exit' })
    expect(ended.output).toMatch(/nobody is not wanted/)
  })

  it.each<[string, Partial<BuildSpec>, RegExp, string?]>([
    ['branch', { source: { url: '', ref: 'gone', subdirectory: null, secret: null } }, /^Git: couldn't find remote ref gone$/],
    ['repository', {}, /^Git: .*(repository|access)/, 'nowhere'],
    ['Dockerfile', { dockerfile: 'Gone' }, /^There is no file Gone$/],
    ['folder', { source: { url: '', ref: null, subdirectory: 'gone', secret: null } }, /^There is no folder gone$/],
  ])('without its %s says so itself, and not only with a number', async (_what, change, reason, name) => {
    const source = { ref: 'main', subdirectory: null, secret: null, ...change.source, url: name ? `${url}/${name}` : url }
    const ended = await done({ action: 'inspect', ...change, source })
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'exit', reason: expect.stringMatching(reason) })
  })
})

function spoolOf(name: string): string {
  const log = join(folder, 'data', 'jobs', name, 'log')
  return join(log, readdirSync(log)[0] ?? 'none')
}

/** A file system with a shell and what it needs, nothing else: there is no registry to have one from. */
function makeRepository(path: string): void {
  mkdirSync(path, { recursive: true })
  const shell = [
    '/bin/sh',
    ...[...execFileSync('ldd', ['/bin/sh'], { encoding: 'utf8' }).matchAll(/(\/\S+)/g)].map(found => found[1]!),
  ]
  for (const file of shell) {
    mkdirSync(join(path, dirname(file)), { recursive: true })
    copyFileSync(file, join(path, file))
  }
  mkdirSync(join(path, 'etc'), { recursive: true })
  writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n')
  writeFileSync(join(path, 'etc/group'), 'root:x:0:\n')
  writeFileSync(
    join(path, 'Dockerfile'),
    'FROM scratch\nARG WHO=anybody\nCOPY . /\nRUN if [ "$WHO" = nobody ]; then echo "nobody is not wanted"; exit 1; fi; echo "built for $WHO"\n',
  )
  const commands = [
    ['init', '-q', '-b', 'main'],
    ['add', '.'],
    ['commit', '-qm', 'first'],
  ]
  for (const words of commands)
    execFileSync('git', ['-C', path, '-c', 'user.name=t', '-c', 'user.email=t@t.example', ...words], { stdio: 'ignore' })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, address!)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
