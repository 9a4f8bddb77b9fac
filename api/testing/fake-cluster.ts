/** A cluster as the database sees it, without sockets: connects, takes desired items, reports. For tests of the session verbs. */
import { sql } from 'drizzle-orm'
import { clusters } from '#db/schema.ts'
import type { DesiredJob, ObservedJob } from '#protocol/job-spec.ts'
import type { AgentCapabilities } from '#protocol/link-messages.ts'
import type { DesiredSession, ObservedSession } from '#protocol/session-spec.ts'
import { newId } from '../ids.ts'
import { desiredSince } from '../sessions/desired.ts'
import { applyReport, type ReportOutcome } from '../sessions/observe.ts'
import { type ApiFixture, origin } from './api-fixture.ts'

export const capable = (sessions: number): AgentCapabilities => ({
  runtime: 'local',
  kinds: ['browser', 'desktop'],
  browsers: ['chromium'],
  features: ['display', 'volumes'],
  versions: {},
  notes: [],
  capacity: { sessions, cpu_millis: null, memory_bytes: null },
  jobs: { types: ['run'], capacity: sessions },
})

export class FakeCluster {
  readonly id = newId('clu')
  private readonly api: ApiFixture
  private reports = 0
  constructor(api: ApiFixture) {
    this.api = api
  }

  async connect(capabilities = capable(10), name = `c${this.id.slice(-6)}`): Promise<this> {
    await this.api.db.insert(clusters).values({
      id: this.id,
      name,
      epoch: 1,
      link_replica_id: 'rep_test',
      link_seen_at: sql`clock_timestamp()` as never,
      capabilities,
    })
    return this
  }
  async deletedVolumes(): Promise<string[]> {
    return (await desiredSince(this.api.db, this.id, 0, { limit: 200, config: this.api.config })).deletedVolumes
  }
  /** The link goes silent: as 46 s later. */
  async goOffline(): Promise<void> {
    await this.api.db.execute(
      sql`update clusters set link_seen_at = clock_timestamp() - interval '46 seconds' where id = ${this.id}`,
    )
  }
  async desired(since = 0): Promise<DesiredSession[]> {
    return (await desiredSince(this.api.db, this.id, since, { limit: 200, config: this.api.config })).items
  }
  page(since: number) {
    return desiredSince(this.api.db, this.id, since, { limit: 200, config: this.api.config })
  }
  async desiredJobs(since = 0): Promise<DesiredJob[]> {
    return (await desiredSince(this.api.db, this.id, since, { limit: 200, config: this.api.config })).jobs
  }
  report(
    items: (Partial<ObservedSession> & Pick<ObservedSession, 'id' | 'phase'>)[],
    fence: { epoch?: number; seq?: number; absentVolumes?: string[]; jobs?: ObservedJob[] } = {},
  ): Promise<ReportOutcome> {
    const log = { info() {}, warn() {}, error() {} }
    return applyReport(
      { db: this.api.db, log, origin },
      {
        cluster: this.id,
        epoch: fence.epoch ?? 1,
        seq: fence.seq ?? ++this.reports,
        complete: false,
        absentVolumes: fence.absentVolumes ?? [],
        jobs: fence.jobs ?? [],
        load: { sessions: items.length, streams: 0, cpu_millis_used: null, memory_bytes_used: null },
        items: items.map(item => ({
          kind: 'session',
          generation: 1,
          phases: [],
          idle_ms: null,
          display: null,
          versions: {},
          notes: [],
          pod: null,
          ...item,
        })),
      },
    )
  }
}
