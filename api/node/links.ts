/**
 * The control links this replica holds, newest epoch per cluster. One clock beat for all of them instead of timers each; one statement polls
 * all their clusters, one marks all of them seen.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import type { Db } from '#db/client.ts'
import type { ApiMessage, Open } from '#protocol/link-messages.ts'
import { isConnectionLoss } from '../app.ts'
import type { Log } from '../platform.ts'
import { ControlLink } from '../tunnel/link.ts'
import type { LinkAgent, LinkDeps } from '../tunnel/link-port.ts'
import { clusterStates, linkStore, markSeen } from '../tunnel/link-store.ts'
import type { LinkVerbs } from '../tunnel/link-verbs.ts'
import { Nudges } from './nudges.ts'
import { linkSocket } from './sockets.ts'

export interface LinksEnv {
  db: Db
  replica: string
  verbs: LinkVerbs
  streams: LinkDeps['streams']
  live(cluster: string): void
  log: Log
  now(): number
}

export type OpenHere = Omit<Open, 'type' | 'url'>

export class Links {
  private readonly env: LinksEnv
  private readonly deps: LinkDeps
  private readonly all = new Map<ControlLink, { dialled: string; heard: boolean }>()
  private readonly byCluster = new Map<string, ControlLink>()
  private readonly endings = new Set<Promise<void>>()
  private readonly nudges = new Nudges(cluster => this.byCluster.get(cluster)?.nudge())

  constructor(env: LinksEnv) {
    this.env = env
    this.deps = {
      now: env.now,
      store: linkStore(env.db, env.replica, env.verbs.clusterView),
      desired: env.verbs.desired,
      report: env.verbs.report,
      settled: env.verbs.settled,
      streams: env.streams,
      passing: isConnectionLoss,
      pause: (ms, signal) => delay(ms, undefined, { signal }),
      log: env.log,
    }
  }

  get size(): number {
    return this.all.size
  }

  /** `dialled`: how the agent reached us (`wss://host`), and so how it will reach us for streams. */
  accept(ws: WebSocket, agent: LinkAgent, dialled: string): void {
    const link = new ControlLink(linkSocket(ws), agent, this.deps, {
      live: granted => this.granted(granted),
      ended: (over, code, reason) => this.ended(over, code, reason),
    })
    const entry = { dialled, heard: true }
    this.all.set(link, entry)
    const heard = () => {
      entry.heard = true
    }
    ws.on('message', heard)
    ws.on('ping', heard)
    ws.on('pong', heard)
  }

  has(cluster: string): boolean {
    return this.byCluster.get(cluster)?.live ?? false
  }

  /** Desired state may have changed. */
  nudge(cluster: string, urgent = true): void {
    this.nudges.nudge(cluster, urgent)
  }

  /** False when this replica does not hold the cluster's link. */
  send(cluster: string, message: ApiMessage): boolean {
    const link = this.byCluster.get(cluster)
    if (!link?.live) return false
    void link.send(message)
    return true
  }

  open(cluster: string, open: OpenHere): boolean {
    const link = this.byCluster.get(cluster)
    const dialled = link && this.all.get(link)?.dialled
    return dialled ? this.send(cluster, { type: 'open', url: `${dialled}/v1/agent/streams/${open.stream}`, ...open }) : false
  }

  tick(): void {
    for (const link of this.all.keys()) link.tick()
  }

  /** Asks Postgres what changed: the truth behind every nudge. */
  async poll(): Promise<void> {
    const links = [...this.byCluster.values()]
    const states = await clusterStates(
      this.env.db,
      links.map(link => link.agent.cluster),
    )
    for (const link of links) link.look(states.get(link.agent.cluster) ?? null)
  }

  async markSeen(): Promise<void> {
    const heard = [...this.byCluster.values()].filter(link => link.live && this.all.get(link)?.heard)
    await markSeen(
      this.env.db,
      this.env.replica,
      heard.map(link => ({ cluster: link.agent.cluster, epoch: link.epoch })),
    )
    for (const link of heard) {
      const entry = this.all.get(link)
      if (entry) entry.heard = false
    }
  }

  /** Tells every agent to dial again elsewhere, and lets go. */
  goAway(): void {
    this.nudges.close()
    for (const link of this.all.keys()) {
      void link.send({ type: 'goaway', after_ms: 0 })
      link.close('going_away')
    }
  }

  /** Resolves when Postgres knows of every end. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.endings)
  }

  private granted(link: ControlLink): void {
    const { cluster } = link.agent
    const former = this.byCluster.get(cluster)
    if (former && former.epoch > link.epoch) {
      link.close('superseded')
      return
    }
    this.byCluster.set(cluster, link)
    former?.close('superseded')
    this.env.log.info('link_open', { cluster, agent: link.agent.id, epoch: link.epoch })
    this.env.live(cluster)
  }

  private ended(link: ControlLink, code: number, reason: string): void {
    const { cluster, id } = link.agent
    this.all.delete(link)
    if (this.byCluster.get(cluster) === link) this.byCluster.delete(cluster)
    this.env.log.info('link_closed', { cluster, agent: id, epoch: link.epoch, code, reason })
    if (link.epoch === 0) return
    const ending = this.deps.store
      .end(cluster, link.epoch)
      .catch(error => this.env.log.warn('link_end_not_written', { cluster, message: String(error) }))
      .finally(() => this.endings.delete(ending))
    this.endings.add(ending)
  }
}
