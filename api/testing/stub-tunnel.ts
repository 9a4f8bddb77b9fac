/** A tunnel without agents: remembers what it was asked, so that tests of the rooms can look. The real one has its own tests. */
import type { CloseWord } from '#protocol/close-codes.ts'
import type { StreamGrant, Tunnel } from '../platform.ts'
import { Problem } from '../problem.ts'

export class StubTunnel implements Tunnel {
  readonly home = 'rep_test'
  readonly nudged: string[] = []
  /** Whether somebody waits for what each of them is about. */
  readonly urgent: boolean[] = []
  readonly opened: StreamGrant[] = []
  readonly ended: { streams: string[]; word: CloseWord; reason: string | undefined }[] = []
  /** What the next `openHttp` answers; absent: the cluster is offline. */
  http: ((grant: StreamGrant, body: ReadableStream<Uint8Array> | null) => Response | Promise<Response>) | null = null

  async nudge(cluster: string, urgent = true): Promise<void> {
    this.nudged.push(cluster)
    this.urgent.push(urgent)
  }
  async acceptLink(): Promise<Response> {
    throw new Problem('cluster_offline', 'This tunnel has no links.')
  }
  async acceptData(): Promise<Response> {
    throw new Problem('not_found', 'This tunnel has no streams.')
  }
  async openViewer(_request: Request, grant: StreamGrant): Promise<Response> {
    this.opened.push(grant)
    throw new Problem('cluster_offline', 'This tunnel has no agents.')
  }
  async openHttp(grant: StreamGrant, body: ReadableStream<Uint8Array> | null): Promise<Response> {
    this.opened.push(grant)
    if (!this.http) throw new Problem('cluster_offline', 'This tunnel has no agents.')
    return this.http(grant, body)
  }
  readonly rechecked: string[][] = []

  async recheck(streams: string[]): Promise<void> {
    this.rechecked.push(streams)
  }
  async end(streams: string[], word: CloseWord, reason?: string): Promise<void> {
    this.ended.push({ streams, word, reason })
  }
}
