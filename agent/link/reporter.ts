/**
 * Tells the API what is seen: everything after a snapshot, then only what changed, gathered for a moment so that a storm of events becomes
 * one message. Facts that were not acknowledged go again with the next link's complete report.
 */

import { type AgentLoad, type AgentMessage, maxLinkMessage } from '#protocol/link-messages.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import type { Clock } from '../clock.ts'
import type { View } from '../sessions/observed-view.ts'

export interface ReportSource {
  views(): Map<string, View>
  /** Volumes asked to be deleted whose files are gone. */
  absentVolumes(): string[]
  terminals(): ObservedTerminal[]
  load(): AgentLoad
}

const gatherMs = 50
/** A change of the load alone is no hurry. */
const loadMs = 5_000

export class Reporter {
  private readonly told = new Map<string, string>()
  private toldLoad = ''
  private toldTerminals = ''
  private readonly toldVolumes = new Set<string>()
  private seq = 0
  private began = false
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
    this.report(true)
  }

  soon(): void {
    if (this.began) this.cancel ??= this.clock.after(gatherMs, () => this.report(false))
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
    const views = this.source.views()
    const load = this.source.load()
    const changed = [...views.values()].filter(view => this.told.get(view.item.id) !== view.key)
    for (const id of this.told.keys()) if (!views.has(id)) this.told.delete(id)
    const loadText = JSON.stringify(load)
    const volumes = this.source.absentVolumes().filter(volume => !this.toldVolumes.has(volume))
    const terminals = this.source.terminals()
    const terminalsText = terminals.map(each => `${each.id} ${each.state}`).join()
    const news = changed.length > 0 || volumes.length > 0 || loadText !== this.toldLoad || terminalsText !== this.toldTerminals
    if (!complete && !news) return
    this.toldTerminals = terminalsText
    for (const volume of volumes) this.toldVolumes.add(volume)
    this.toldLoad = loadText
    for (const view of changed) this.told.set(view.item.id, view.key)

    const items = changed.map(view => view.item)
    const gone = volumes.length > 0 ? { absent_volumes: volumes } : {}
    const base = { type: 'report' as const, epoch: this.epoch, load, ...gone, terminals }
    // More than one message holds: then it cannot claim to be everything, and nothing is concluded from what is missing.
    if (items.length > 100 && JSON.stringify(items).length > maxLinkMessage / 2) {
      for (let at = 0; at < items.length; at += 100) {
        this.send({ ...base, seq: ++this.seq, complete: false, items: items.slice(at, at + 100) })
      }
    } else {
      this.send({ ...base, seq: ++this.seq, complete, items })
    }
  }
}
