/**
 * What builds on a real cluster need around them: a registry with a login (`ann`, `s3cret`), a git server with a tiny application, and a way to hand what was
 * pushed to the node. Environment: PORTHOLE_TEST_REGISTRY (a docker-registry program), PORTHOLE_TEST_NODE (an address of this machine that pods reach),
 * PORTHOLE_TEST_BASE (an image of buildah's with a shell, with its history), PORTHOLE_TEST_IMPORT (program: `P image NAME FILE`); git, buildah, and
 * deploy/seccomp/build.json on the node as porthole/build.json.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'

const program = process.env.PORTHOLE_TEST_REGISTRY
const node = process.env.PORTHOLE_TEST_NODE ?? ''
const unset = ['PORTHOLE_TEST_REGISTRY', 'PORTHOLE_TEST_NODE', 'PORTHOLE_TEST_IMPORT'].filter(name => !process.env[name])
/** null: they can be tried. */
export const whyNoBuilds =
  unset.length > 0 ? `needs a registry program and the builder image: ${unset.join(', ')} not set (see build-lab.ts)` : null
const login = 'ann:s3cret'

export interface BuildLab {
  /** `host:port`; `base:1` is in it. */
  registry: string
  /** The application: branch `main` builds, `topic` does not, `slow` does once there is a /tmp/go. */
  source: string
  /** `main` of it as tar.gz. */
  archive(): Buffer
  /** The node's container runtime has no login here: what was pushed is given to it under the name that this answers. */
  handToNode(pushed: string): string
  dispose(): void
}

export async function buildLab(): Promise<BuildLab> {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-build-'))
  const [port, gitPort] = [await freePort(), await freePort()]
  const registry = `${node}:${port}`
  // bcrypt of "s3cret".
  writeFileSync(join(folder, 'htpasswd'), 'ann:$2b$04$.qQjoXmBSitL63wtRNAZ3./awVqGxTJYywwtMUclvTuEtOKGLlPEO\n')
  writeFileSync(
    join(folder, 'registry.yml'),
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/blobs}}\nhttp: {addr: "0.0.0.0:${port}"}\nauth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}\n`,
  )
  makeRepository(join(folder, 'git', 'app'), registry)
  const git = ['daemon', '--export-all', '--reuseaddr', `--base-path=${join(folder, 'git')}`, `--port=${gitPort}`]
  const running: ChildProcess[] = [
    spawn(program!, ['serve', join(folder, 'registry.yml')], { stdio: 'ignore' }),
    spawn('git', git, { stdio: 'ignore' }),
  ]
  const answers = () =>
    fetch(`http://${registry}/v2/`).then(
      answer => answer.status === 401,
      () => false,
    )
  await vi.waitUntil(answers, { timeout: 60_000 })
  const buildah = (...args: string[]) => execFileSync('buildah', args, { stdio: 'ignore' })
  const secret = ['--tls-verify=false', '--creds', login]
  buildah(
    'push',
    ...secret,
    '--format',
    'oci',
    process.env.PORTHOLE_TEST_BASE ?? 'localhost/busybox:local',
    `docker://${registry}/base:1`,
  )
  return {
    registry,
    source: `git://${node}:${gitPort}/app`,
    archive: () => execFileSync('git', ['-C', join(folder, 'git', 'app'), 'archive', '--format=tar.gz', 'main']),
    handToNode(pushed) {
      const archive = join(folder, 'built.tar')
      const name = `localhost/built:${createHash('sha256').update(`${registry} ${pushed}`).digest('hex').slice(0, 8)}`
      buildah('pull', ...secret, `docker://${registry}/${pushed}`)
      buildah('push', `${registry}/${pushed}`, `docker-archive:${archive}:${name}`)
      buildah('rmi', `${registry}/${pushed}`)
      execFileSync(process.env.PORTHOLE_TEST_IMPORT!, ['image', name, archive], { stdio: 'ignore' })
      return name
    },
    dispose() {
      for (const each of running) each.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

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
  git('checkout', '-qb', 'slow', 'main')
  writeFileSync(join(path, 'Dockerfile'), dockerfile('until [ -e /tmp/go ]; do sleep 1; done; echo "$GREETING" >/tmp/greeting'))
  git('commit', '-qam', 'waits')
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
