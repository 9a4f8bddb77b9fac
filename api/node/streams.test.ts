/** Streams end in time also where the database cannot be asked: by what was known when they were opened, and all of them after a minute. */
import { expect, it } from 'vitest'
import type { Db } from '#db/client.ts'
import type { StreamGrant } from '../platform.ts'
import { type Flow, Streams } from './streams.ts'

function blind() {
  let now = 0
  const ended: string[] = []
  const db = { execute: () => Promise.reject(new Error('CONNECTION_CLOSED')) } as unknown as Db
  const streams = new Streams({ db, replica: 'rep', log: { info() {}, warn() {}, error() {} }, now: () => now })
  const flow = (id: string, lifeMs?: number): Flow => ({
    grant: { id, cluster: 'clu', ...(lifeMs === undefined ? {} : { lifeMs }) } as StreamGrant,
    check() {},
    close: word => {
      ended.push(`${id} ${word}`)
      streams.gone(id)
    },
  })
  return { streams, flow, ended, at: (ms: number) => (now = ms) }
}

it('a stream whose token or link ends is ended then, without asking', () => {
  const { streams, flow, ended, at } = blind()
  streams.flow(flow('short', 10_000))
  streams.flow(flow('endless'))
  at(9_999)
  streams.check()
  expect([ended, streams.leftOf('short'), streams.leftOf('endless')]).toEqual([[], 1, Number.POSITIVE_INFINITY])
  at(10_000)
  streams.check()
  expect(ended).toEqual(['short token_ended'])
})

it('who has not seen the database for a minute lets everything go, and not before', async () => {
  const { streams, flow, ended, at } = blind()
  streams.flow(flow('one'))
  at(60_000)
  await expect(streams.sweep()).rejects.toThrow()
  streams.check()
  expect(ended).toEqual([])
  at(60_001)
  streams.check()
  expect(ended).toEqual(['one token_ended'])
})
