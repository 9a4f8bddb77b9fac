/** Manifests and deploys on the cluster of KUBECONFIG, with the rights that the chart gives the agent. */
import { randomBytes } from 'node:crypto'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { attemptName } from '#protocol/job-spec.ts'
import type { DeploySpec, ManifestSpec } from '#protocol/works-spec.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../../deploy/testing/sessions-namespace.ts'
import type { JobAttempt, JobInstance } from '../job-runtime.ts'
import { createKubeClient } from '../kubernetes/kube-client.ts'
import { kubernetesSettings } from '../kubernetes/settings.ts'
import { TaskRuntime } from '../kubernetes/tasks/task-runtime.ts'

export interface TaskLab {
  runtime: TaskRuntime
  place: SessionsNamespace
  namespace: string
  /** Another life of the agent; the one before is cut off as by kill -9. */
  nextLife(): TaskRuntime
  attempt(spec: Partial<ManifestSpec> | Partial<DeploySpec>, more?: Partial<JobAttempt>): JobAttempt
  ended(name: string): Promise<JobInstance>
  until(name: string, test: (instance: JobInstance) => boolean): Promise<JobInstance>
  output(name: string): Promise<string>
  run(spec: Partial<ManifestSpec> | Partial<DeploySpec>, more?: Partial<JobAttempt>): Promise<JobInstance & { output: string }>
  /** As the administrator; `{ns}` is the project's namespace. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every shape
  get(path: string): Promise<{ status: number; body: any }>
  dispose(): Promise<void>
}

export async function taskLab(): Promise<TaskLab> {
  const namespace = `test-${randomBytes(4).toString('hex')}-team`
  const place = await sessionsNamespace({ projects: [{ project: '*', namespace, createNamespace: true }] })
  const settings = kubernetesSettings(place.environment)
  const log = createLog(line => process.env.TASK_LOG && process.stderr.write(line))
  const open = () =>
    new TaskRuntime({
      client: createKubeClient({ config: place.config, clock: systemClock, random: Math.random }),
      agentName: settings.agentName,
      places: settings.places,
      clock: systemClock,
      log,
    })
  const lives = [open()]
  const lab: TaskLab = {
    runtime: lives[0]!,
    place,
    namespace,
    nextLife() {
      lab.runtime.abandon()
      lab.runtime = open()
      lives.push(lab.runtime)
      return lab.runtime
    },
    attempt(spec, more = {}) {
      const job = `job_${randomBytes(6).toString('hex')}`
      const whole =
        spec.type === 'deploy'
          ? { dry_run: false, ready_timeout_ms: 180_000, mappings: {}, ...spec }
          : { type: 'manifest', action: 'apply', set: null, dry_run: false, prune: true, wait: true, ...spec }
      return {
        name: attemptName(more.job ?? job, 1),
        job,
        attempt: 1,
        project: 'prj_a',
        user: 'ann',
        labels: {},
        spec: whole as unknown as JobAttempt['spec'],
        secrets: {},
        timeoutMs: 480_000,
        graceMs: 1_000,
        ...more,
      }
    },
    async until(name, test) {
      const runtime = lab.runtime
      return await new Promise<JobInstance>((resolve, reject) => {
        const look = () =>
          runtime.observe().then(all => {
            const found = all.find(each => each.name === name)
            if (!found || !test(found)) return
            stop()
            resolve(found)
          }, reject)
        const stop = runtime.watch(() => void look())
        void look()
      })
    },
    ended: name => lab.until(name, each => each.phase === 'ended'),
    async output(name) {
      const instance = (await lab.runtime.observe()).find(each => each.name === name)!
      const chunks: Uint8Array[] = []
      let next = 0
      for await (const piece of lab.runtime.logs(
        name,
        instance.uid,
        '',
        { offset: 0, mark: null },
        AbortSignal.timeout(180_000),
      )) {
        if (piece.offset !== next || !('data' in piece)) throw new Error(`a hole at ${next}`)
        next += piece.data.length
        chunks.push(piece.data)
      }
      return Buffer.concat(chunks).toString()
    },
    async run(spec, more) {
      const attempt = lab.attempt(spec, more)
      await lab.runtime.start(attempt)
      const instance = await lab.ended(attempt.name)
      return { ...instance, output: await lab.output(attempt.name) }
    },
    get: path => place.admin.ask('GET', path.replace('{ns}', `namespaces/${namespace}`)) as ReturnType<TaskLab['get']>,
    async dispose() {
      await Promise.all(lives.map(life => life.close()))
      await place.admin.ask('DELETE', `/api/v1/namespaces/${namespace}`)
      await place.dispose()
    },
  }
  return lab
}
