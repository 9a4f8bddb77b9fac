/**
 * Volumes while no session uses them: removal, and their files as one tar.gz. A short pod of the display image mounts the claim, runs tar behind a
 * small HTTP server on the host's port, and goes when the last byte is taken. It holds the volume like a session does.
 */
import { randomBytes } from 'node:crypto'
import { type Clock, sleep } from '#agent/clock.ts'
import { askHost } from '../host-door.ts'
import { DialError, type HostRequest, type HostResponse, type VolumeStore } from '../runtime.ts'
import type { ClusterObjects } from './cluster-objects.ts'
import { annotation, carries, label, objectName, ownLabels } from './labels.ts'
import { sessionPolicySpec } from './network-policy.ts'
import { hostDoor, type PodDialler } from './pod-dialler.ts'
import { containerName, podPaths, podPorts } from './pod-names.ts'
import { CannotRun, containerRules, podRules } from './pod-spec.ts'
import { podWaiting } from './pod-waiting.ts'
import { bytesQuantity, cpuQuantity } from './quantity.ts'
import type { KubernetesSettings } from './settings.ts'
import { claimVolume, refuseIfUsed, releaseVolume } from './volume-writer.ts'
import type { Claim, NetworkPolicy, Pod } from './wire.ts'

export interface VolumeArchivesParts {
  objects: ClusterObjects
  settings: KubernetesSettings
  clock: Clock
  dial: PodDialler
  making: Set<string>
  life: AbortSignal
}

const removeMs = 55_000
const startMs = 60_000

/** Answers GET / with the archive and PUT / by replacing the files: unpacked beside, then moved, so that a broken upload changes nothing. */
const script = `
const http = require('http'), fs = require('fs'), path = require('path'), { spawn } = require('child_process')
const home = '${podPaths.home}', stage = home + '/.porthole-incoming'
const run = (args, stdio) => { const c = spawn('tar', args, { stdio }); let said = ''; c.stderr.on('data', d => said = (said + d).slice(-400))
  return { c, over: new Promise((ok, no) => { c.on('error', no); c.on('close', code => code === 0 ? ok() : no(new Error(said.trim() || 'tar exited with ' + code))) }) } }
const fail = (res, status, code, detail) => { if (res.headersSent) return res.destroy(); res.writeHead(status, { 'content-type': 'application/json', connection: 'close' }); res.end(JSON.stringify({ code, detail })) }
http.createServer({ requestTimeout: 0 }, async (req, res) => {
  try {
    if (req.url === '/ready') return res.end('ok')
    if (req.method === 'GET') {
      const { c, over } = run(['-C', home, '--exclude=./lost+found', '-cz', '.'], ['ignore', 'pipe', 'pipe'])
      res.writeHead(200, { 'content-type': 'application/gzip' }); c.stdout.pipe(res, { end: false }); res.on('close', () => c.kill())
      return await over.then(() => res.end(), () => res.destroy())
    }
    fs.rmSync(stage, { recursive: true, force: true }); fs.mkdirSync(stage)
    const { c, over } = run(['-C', stage, '-xz', '--no-same-owner', '--no-overwrite-dir'], ['pipe', 'ignore', 'pipe'])
    c.stdin.on('error', () => {}); req.pipe(c.stdin)
    try { await over } catch (e) { fs.rmSync(stage, { recursive: true, force: true }); return fail(res, 422, 'invalid', 'this is not a tar.gz archive that can be unpacked: ' + e.message) }
    for (const name of fs.readdirSync(home)) if (name !== '.porthole-incoming' && name !== 'lost+found') fs.rmSync(path.join(home, name), { recursive: true, force: true })
    for (const name of fs.readdirSync(stage)) fs.renameSync(path.join(stage, name), path.join(home, name))
    fs.rmdirSync(stage); res.writeHead(200, { 'content-type': 'application/json' }); res.end('{}')
  } catch (e) { fail(res, 500, 'internal', e.message) }
}).listen(${podPorts.host})
process.on('SIGTERM', () => process.exit(0))
`

export class VolumeArchives implements VolumeStore {
  private readonly parts: VolumeArchivesParts
  constructor(parts: VolumeArchivesParts) {
    this.parts = parts
  }

  async remove(volume: string): Promise<void> {
    const { objects, settings, making, life } = this.parts
    const signal = AbortSignal.any([life, AbortSignal.timeout(removeMs)])
    const claim = await objects.find<Claim>('persistentvolumeclaims', objectName(volume), signal)
    if (!claim || !carries(claim, { [label.agent]: settings.agentName, [label.volume]: volume })) return
    const writer = claim.metadata?.annotations?.[annotation.writer]
    if (writer) await refuseIfUsed(objects, volume, writer, making, settings.agentName, signal)
    await objects.remove('persistentvolumeclaims', claim.metadata!.name!, claim.metadata!.uid!, signal)
  }

  async archive(volume: string, request: HostRequest): Promise<HostResponse> {
    const { objects, settings, making, life } = this.parts
    if (request.method !== 'GET' && request.method !== 'PUT')
      throw new DialError(405, 'method_not_allowed', 'an archive can be read (GET) and put in place (PUT)')
    // Counts as a session of its own for as long as it runs, so that nobody else writes meanwhile.
    const holder = `archive_${randomBytes(6).toString('hex')}`
    const until = AbortSignal.any([life, request.signal])
    const claim = await this.claimFor(volume, holder, request.method === 'PUT', until)
    making.add(holder)
    const letGo = async () => {
      making.delete(holder)
      const ending = AbortSignal.any([life, AbortSignal.timeout(removeMs)])
      await this.sweep(holder, ending)
      await releaseVolume(objects, claim.metadata!.name!, holder, ending)
    }
    try {
      await claimVolume(objects, claim, holder, new Set([...making].filter(id => id !== holder)), settings.agentName, until)
      const pod = await this.startPod(volume, holder, claim, until)
      const answer = await askHost(hostDoor(this.parts.dial, pod), { ...request, path: '/' })
      return { ...answer, body: thenLetGo(answer.body, letGo) }
    } catch (error) {
      await letGo().catch(() => {})
      throw error instanceof CannotRun ? new DialError(409, 'conflict', error.message) : error
    }
  }

  private async claimFor(volume: string, holder: string, make: boolean, signal: AbortSignal): Promise<Claim> {
    const { objects, settings } = this.parts
    const there = await objects.find<Claim>('persistentvolumeclaims', objectName(volume), signal)
    if (there) {
      const { name, namespace, labels } = there.metadata!
      return { ...there, metadata: { name, namespace, labels, annotations: { [annotation.writer]: holder } } }
    }
    if (!make) throw new DialError(404, 'not_found', 'this volume has no files yet')
    return {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: objectName(volume),
        namespace: settings.namespace,
        labels: { ...ownLabels(settings.agentName, 'volume'), [label.volume]: volume },
        annotations: { [annotation.writer]: holder },
      },
      spec: {
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: bytesQuantity(settings.homeBytes) } },
        ...(settings.storageClass !== null && { storageClassName: settings.storageClass }),
      },
    }
  }

  private async startPod(volume: string, holder: string, claim: Claim, signal: AbortSignal): Promise<Pod> {
    const { objects, settings, clock } = this.parts
    const name = objectName(holder)
    const image = settings.images.display ?? settings.images.browser ?? settings.images.desktop
    if (!image) throw new DialError(501, 'unsupported', 'this cluster has no image that can read volumes')
    const labels = {
      ...ownLabels(settings.agentName, 'probe'),
      [label.session]: holder,
      [label.generation]: '1',
      [label.volume]: volume,
    }
    const policy: NetworkPolicy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name, namespace: settings.namespace, labels },
      spec: sessionPolicySpec(holder, 1, { mode: 'none', allow: [] }, settings),
    }
    await objects.ensure('networkpolicies', policy, labels, signal)
    await objects.ensure<Pod>('pods', archivePod(name, labels, claim, image, settings), labels, signal)
    const late = clock.now() + startMs
    for (;;) {
      await sleep(clock, 400, signal)
      signal.throwIfAborted()
      const pod = await objects.find<Pod>('pods', name, signal)
      if (pod?.status?.containerStatuses?.every(({ ready }) => ready) && pod.status.phase === 'Running') return pod
      const why = pod ? (podWaiting(pod, [])?.reason ?? pod.status?.message) : 'its pod was removed'
      if (!pod || pod.status?.phase === 'Failed' || clock.now() > late)
        throw new DialError(503, 'not_ready', `the volume could not be mounted: ${why ?? 'no reason known'}`)
    }
  }

  private async sweep(holder: string, signal: AbortSignal): Promise<void> {
    const { objects } = this.parts
    const name = objectName(holder)
    for (const collection of ['pods', 'networkpolicies'] as const) {
      const there = await objects.find<Pod>(collection, name, signal)
      if (there) await objects.remove(collection, name, there.metadata!.uid!, signal, 0)
    }
  }
}

async function* thenLetGo(body: AsyncIterable<Uint8Array>, letGo: () => Promise<void>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } finally {
    await letGo()
  }
}

function archivePod(
  name: string,
  labels: Record<string, string>,
  claim: Claim,
  image: string,
  settings: KubernetesSettings,
): Pod {
  const home = { name: 'home', mountPath: podPaths.home }
  const owner = `${settings.runAsUser}:${settings.runAsUser}`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: settings.namespace, labels },
    spec: {
      ...podRules(settings),
      activeDeadlineSeconds: 3600,
      terminationGracePeriodSeconds: 1,
      ...(settings.prepareVolumes && {
        initContainers: [
          {
            name: containerName.prepare,
            image,
            imagePullPolicy: settings.imagePullPolicy,
            command: ['/bin/sh', '-c', `chown ${owner} ${podPaths.home} && chmod 0700 ${podPaths.home}`],
            resources: { limits: { cpu: cpuQuantity(100), memory: bytesQuantity(32 * 2 ** 20) } },
            securityContext: {
              ...containerRules,
              runAsNonRoot: false,
              runAsUser: 0,
              capabilities: { drop: ['ALL'], add: ['CHOWN', 'FOWNER', 'DAC_OVERRIDE'] },
            },
            volumeMounts: [home],
          },
        ],
      }),
      containers: [
        {
          name: containerName.main,
          image,
          imagePullPolicy: settings.imagePullPolicy,
          command: ['node', '-e', script],
          env: [{ name: 'HOME', value: '/tmp' }],
          ports: [{ name: 'host', containerPort: podPorts.host }],
          readinessProbe: { tcpSocket: { port: podPorts.host }, periodSeconds: 1 },
          resources: {
            requests: { cpu: cpuQuantity(50), memory: bytesQuantity(64 * 2 ** 20) },
            limits: { cpu: cpuQuantity(1000), memory: bytesQuantity(256 * 2 ** 20) },
          },
          securityContext: containerRules,
          volumeMounts: [home, { name: 'tmp', mountPath: '/tmp' }],
        },
      ],
      volumes: [
        { name: 'home', persistentVolumeClaim: { claimName: claim.metadata!.name! } },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  }
}
