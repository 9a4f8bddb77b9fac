/** Puts the agent's parts together around a runtime and runs them until told to stop. No environment, no process: main.ts has those. */

import type { AgentCapabilities } from '#protocol/link-messages.ts'
import type { Clock } from './clock.ts'
import { ensureIdentity } from './identity.ts'
import { ContextCourier, httpContext } from './jobs/context-courier.ts'
import { JobKeeper } from './jobs/job-keeper.ts'
import { httpLogPost } from './jobs/log-post.ts'
import { LogShipper } from './jobs/log-shipper.ts'
import { AgentLink } from './link/agent-link.ts'
import { dialWebSocketLink, webSocketUrl } from './link/link-socket.ts'
import { LoadWatch } from './load-watch.ts'
import type { Log } from './log.ts'
import type { Policy } from './policy.ts'
import type { Runtime } from './runtimes/runtime.ts'
import { AgentMemory } from './sessions/agent-memory.ts'
import { DesiredState } from './sessions/desired-state.ts'
import { SessionKeeper } from './sessions/session-keeper.ts'
import type { TextStore } from './sessions/state-file.ts'
import { VolumeSweep } from './sessions/volume-sweep.ts'
import { ended } from './streams/stream-end.ts'
import { StreamTable } from './streams/stream-table.ts'
import { isJob, TerminalBook } from './terminals/terminal-book.ts'

export interface AgentParts {
  origin: string
  joinToken: string | undefined
  version: string
  /** New for each process. */
  boot: string
  policy: Policy
  giveUpAfterMs: number | null
  keyStore: TextStore
  stateStore: TextStore
  runtime: Runtime
  clock: Clock
  random: () => number
  fetch: typeof fetch
  log: Log
  /** Once, when the first link works. */
  ready: () => void
  /** Told once how to ask whether the link works now. */
  linkState?: (works: () => boolean) => void
}

/** One step of a session makes several reasons to look again: one look finds them all. */
const lookRestMs = 5

/** Runs until the signal aborts (then everything is let go of) or there was no link for too long. */
export async function runAgent(parts: AgentParts, signal: AbortSignal): Promise<'aborted' | 'gave up'> {
  const { origin, policy, runtime, clock, random, log } = parts
  const memory = await AgentMemory.load(parts.stateStore, clock)
  const desired = new DesiredState(clock)

  let link: AgentLink | undefined
  const terminals = new TerminalBook({ runtime, policy, clock, log, changed: () => link?.reportSoon() })
  // The three know each other only through these calls; each may be made at any time.
  const streams: StreamTable = new StreamTable({
    runtime,
    terminals,
    policy,
    clock,
    log,
    access: session => keeper.access(session),
    untilSettled: (session, signal) => keeper.untilSettled(session, signal),
    active: session => isJob(session) || keeper.markActivity(session),
    tell: message => void link?.send(message),
    changed: () => link?.loadChanged(),
  })
  const keeper: SessionKeeper = new SessionKeeper({
    runtime,
    desired,
    memory,
    policy,
    clock,
    log,
    changed: () => link?.reportSoon(),
    ending: (session, reason) => {
      terminals.endSession(session, reason)
      streams.endSession(session, reason)
    },
    restMs: lookRestMs,
  })

  let sign: () => Promise<string> = async () => {
    throw new Error('not enrolled yet')
  }
  const changed = () => link?.reportSoon()
  const jobs =
    runtime.jobs &&
    keepJobs(
      { ...parts, runtime: runtime.jobs, desired, changed, over: job => terminals.endSession(job, 'The job has ended.') },
      () => sign(),
      () => (link?.working ? memory.epoch : null),
    )
  const sweep = new VolumeSweep({ store: runtime.volumes, desired, clock, log, changed: () => link?.reportSoon() })
  const spent = new LoadWatch({ runtime, clock, changed: () => link?.loadChanged() })
  const stop = new AbortController()
  const running = AbortSignal.any([signal, stop.signal])
  // Deadlines of adopted sessions hold from the first moment, also while nobody answers the enrolment.
  const keeping = Promise.all([keeper.run(running), jobs?.run(running), spent.run(running)])
  try {
    const identity = await ensureIdentity({ ...parts, store: parts.keyStore, signal: running })
    sign = () => identity.sign()
    let told = false
    link = new AgentLink({
      clock,
      random,
      log,
      desired,
      dial: dialWebSocketLink(origin, () => identity.sign()),
      hello: async () => ({
        agent_version: parts.version,
        boot: parts.boot,
        capabilities: { ...withPolicy(await runtime.capabilities(), policy), ...(await jobCapabilities(runtime, policy)) },
      }),
      epochs: {
        highest: () => memory.epoch,
        accept: async epoch => {
          memory.epoch = Math.max(memory.epoch, epoch)
          await memory.save()
        },
      },
      desiredChanged: () => {
        keeper.wake()
        streams.expect(webSocketUrl(origin, '/'))
        jobs?.wake()
        sweep.wake()
        terminals.endAll(desired.takeEndedTerminals())
      },
      whenSeen: run => keeper.whenSeen(() => (jobs ? jobs.whenSeen(run) : run())),
      source: {
        views: () => keeper.views(),
        jobs: () => jobs?.views() ?? new Map(),
        absentVolumes: () => sweep.absent(),
        terminals: () => terminals.observed(),
        load: () => ({ sessions: keeper.liveSessions, streams: streams.size, ...spent.figures }),
      },
      streams,
      up: (cluster, epoch) => {
        log.info('link up', { cluster: cluster.name, epoch })
        if (!told) parts.ready()
        told = true
      },
      giveUpAfterMs: parts.giveUpAfterMs,
      refused: error => {
        if (error.status !== 401) return
        const skew = error.date === null ? 0 : error.date - clock.wall()
        if (Math.abs(skew) > 5_000) {
          log.warn('this clock and the clock of the API differ; following the API for signing', {
            seconds: Math.round(skew / 1000),
          })
          identity.correctClock(error.date!)
        } else {
          log.error('the API does not know this agent; if its cluster was removed, enrol it again with a new join token')
        }
      },
    })
    parts.linkState?.(() => link?.working ?? false)
    return await link.run(running)
  } finally {
    stop.abort()
    sweep.close()
    await streams.endAll(ended('going_away', 'agent stops'))
    await terminals.close()
    await keeping
    await memory.save().catch(() => {})
  }
}

function keepJobs(
  parts: Omit<ConstructorParameters<typeof JobKeeper>[0], 'shipper' | 'courier'> & Pick<AgentParts, 'origin' | 'fetch'>,
  sign: () => Promise<string>,
  epoch: () => number | null,
): JobKeeper {
  const post = httpLogPost({ origin: parts.origin, fetch: parts.fetch, sign })
  const { runtime, clock, log } = parts
  const keeper: JobKeeper = new JobKeeper({
    ...parts,
    shipper: new LogShipper({ runtime, clock, log, post, epoch, done: () => keeper.wake() }),
    courier: new ContextCourier({ runtime, clock, log, open: httpContext({ ...parts, sign, epoch }) }),
  })
  return keeper
}

async function jobCapabilities(runtime: Runtime, policy: Policy): Promise<Pick<AgentCapabilities, 'jobs'>> {
  if (!runtime.jobs || policy.featuresOff.includes('jobs')) return {}
  const { types, capacity } = await runtime.jobs.capabilities()
  return { jobs: { types: types.filter(type => !policy.featuresOff.includes(type)), capacity: policy.maxJobs ?? capacity } }
}

/** What may be asked for here is what the runtime can and the operator allows. */
function withPolicy(can: Awaited<ReturnType<Runtime['capabilities']>>, policy: Policy) {
  return {
    ...can,
    kinds: can.kinds.filter(kind => policy.kinds?.includes(kind) ?? true),
    features: can.features.filter(feature => !switchesOf(feature).some(word => policy.featuresOff.includes(word))),
    capacity: { ...can.capacity, sessions: Math.min(can.capacity.sessions, policy.maxSessions) },
  }
}

/** The words that switch a feature off. */
function switchesOf(feature: string): string[] {
  if (feature.startsWith('exec')) return [feature, 'exec', 'terminal']
  return feature === 'logs_jobs' ? [feature, 'logs', 'jobs'] : [feature]
}
