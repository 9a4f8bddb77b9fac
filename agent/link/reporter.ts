/**
 * Tells the API what is seen: everything after a snapshot, then only what changed, gathered for a moment so that a storm of events becomes
 * one message. Facts that were not acknowledged go again with the next link's complete report.
 */

import type { ObservedJob } from '#protocol/job-spec.ts'
import { type AgentLoad, type AgentMessage, maxLinkMessage } from '#protocol/link-messages.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import type { Clock } from '../clock.ts'
import type { JobView } from '../jobs/observed-job.ts'
import type { View } from '../sessions/observed-view.ts'

export interface ReportSource {
  views(): Map<string, View>
  jobs(): Map<string, JobView>
  /** Volumes asked to be deleted whose files are gone. */
  absentVolumes(): string[]
  terminals(): ObservedTerminal[]
  load(): AgentLoad
}

const gatherMs = 50
/** Looking at many sessions takes its time; it may take at most a twentieth of it. */
const gatherPerLook = 20
const longestGatherMs = 500
/** A change of the load alone is no hurry. */
const loadMs = 5_000

export class Reporter {
  private readonly told = new Map<string, string>()
  private toldLoad = ''
  private toldTerminals = ''
  private readonly toldVolumes = new Set<string>()
  private readonly toldJobs = new Map<string, string>()
  private seq = 0
  private began = false
  private lookMs = 0
  private cancel: (() => void) | null = null
  private cancelLoad: (() => void) | null = null
  private readonly source: ReportSource
  private readonly clock: Clock
  private readonly epoch: number
  private readonly send: (message: AgentMessage) => void

  constructor(source: ReportSource, clock: Clock, epoch: number, send: (message: AgentMessage) => void) {
    this.source = source
    this.clock = clock
    this.epoch = epoch
    this.send = send
  }

  complete(): void {
    this.began = true
    this.told.clear()
    this.toldVolumes.clear()
    this.toldJobs.clear()
    this.report(true)
  }

  soon(): void {
    const wait = Math.min(longestGatherMs, Math.max(gatherMs, this.lookMs * gatherPerLook))
    if (this.began) this.cancel ??= this.clock.after(wait, () => this.report(false))
  }

  loadChanged(): void {
    if (this.began) this.cancelLoad ??= this.clock.after(loadMs, () => this.report(false))
  }

  close(): void {
    this.began = false
    this.cancel?.()
    this.cancelLoad?.()
  }

  private report(complete: boolean): void {
    this.cancel?.()
    this.cancelLoad?.()
    this.cancel = this.cancelLoad = null
    const began = this.clock.now()
    const views = this.source.views()
    this.lookMs = this.clock.now() - began
    const load = this.source.load()
    const changed = [...views.values()].filter(view => this.told.get(view.item.id) !== view.key)
    for (const id of this.told.keys()) if (!views.has(id)) this.told.delete(id)
    const loadText = JSON.stringify(load)
    const volumes = this.source.absentVolumes().filter(volume => !this.toldVolumes.has(volume))
    const terminals = this.source.terminals()
    const terminalsText = terminals.map(each => `${each.id} ${each.state}`).join()
    const jobs = this.newJobs()
    const news =
      changed.length > 0 ||
      jobs.length > 0 ||
      volumes.length > 0 ||
      loadText !== this.toldLoad ||
      terminalsText !== this.toldTerminals
    if (!complete && !news) return
    this.toldTerminals = terminalsText
    for (const volume of volumes) this.toldVolumes.add(volume)
    this.toldLoad = loadText
    for (const view of changed) this.told.set(view.item.id, view.key)

    const items = changed.map(view => view.item)
    const gone = volumes.length > 0 ? { absent_volumes: volumes } : {}
    const base = { type: 'report' as const, epoch: this.epoch, load, ...gone, terminals }
    const [firstJobs, ...moreJobs] = pagesOf(jobs)
    for (const page of moreJobs) this.send({ ...base, seq: ++this.seq, complete: false, items: [], jobs: page })
    // More than one message holds: then it cannot claim to be everything, and nothing is concluded from what is missing.
    if (items.length > 100 && JSON.stringify(items).length > maxLinkMessage / 2) {
      if (firstJobs) this.send({ ...base, seq: ++this.seq, complete: false, items: [], jobs: firstJobs })
      for (let at = 0; at < items.length; at += 100) {
        this.send({ ...base, seq: ++this.seq, complete: false, items: items.slice(at, at + 100) })
      }
    } else {
      this.send({ ...base, seq: ++this.seq, complete, items, ...(firstJobs ? { jobs: firstJobs } : {}) })
    }
  }

  private newJobs(): ObservedJob[] {
    const views = this.source.jobs()
    const changed = [...views.values()].filter(view => this.toldJobs.get(view.item.id) !== view.key)
    for (const id of this.toldJobs.keys()) if (!views.has(id)) this.toldJobs.delete(id)
    for (const view of changed) this.toldJobs.set(view.item.id, view.key)
    return changed.map(view => view.item)
  }
}

/** As many as fit into half a message each. */
function pagesOf(jobs: ObservedJob[]): ObservedJob[][] {
  const pages: ObservedJob[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const job of jobs) {
    const size = JSON.stringify(job).length
    if (bytes + size > maxLinkMessage / 2) {
      pages.push([])
      bytes = 0
    }
    pages.at(-1)!.push(job)
    bytes += size
  }
  return pages
}
