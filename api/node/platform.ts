/** The platform of Node: one pool, synchronous hashes, figures of this process. */
import { hash } from 'node:crypto'
import type { Db } from '#db/client.ts'
import type { ApiConfig } from '../config.ts'
import type { Log, Platform, ProcessFigures, Tunnel } from '../platform.ts'
import type { AddressOf } from './client-address.ts'
import type { NodeEnv } from './server.ts'

/** By way of hex: a buffer of its own from the hash costs three times as much. */
export const sha256 = (data: string | Uint8Array): Uint8Array => new Uint8Array(Buffer.from(hash('sha256', data, 'hex'), 'hex'))

/** Work that outlives its answer, so that a shutdown can wait for it. */
export class Deferred {
  private readonly running = new Set<Promise<unknown>>()
  private readonly log: Log
  constructor(log: Log) {
    this.log = log
  }
  readonly add = (work: Promise<unknown>): void => {
    const settled = work
      .catch(error => this.log.warn('deferred_failed', { message: String(error) }))
      .finally(() => this.running.delete(settled))
    this.running.add(settled)
  }
  async settled(): Promise<void> {
    await Promise.all(this.running)
  }
}

export function nodePlatform(env: {
  config: ApiConfig
  db: Db
  tunnel: Tunnel
  addressOf: AddressOf
  deferred: Deferred
  figures(): Pick<ProcessFigures, 'replica' | 'links' | 'streams'>
  log: Log
}): Platform {
  const { config, db, tunnel, log } = env
  return {
    config,
    log,
    services: (_request, node) => ({
      db,
      tunnel,
      sha256,
      address: env.addressOf((node as NodeEnv).incoming),
      defer: env.deferred.add,
    }),
    processFigures: () => {
      const { user, system } = process.cpuUsage()
      return {
        platform: `node ${process.versions.node}`,
        uptime_seconds: Math.round(process.uptime()),
        memory_bytes: process.memoryUsage.rss(),
        cpu_seconds: (user + system) / 1e6,
        ...env.figures(),
      }
    },
  }
}
