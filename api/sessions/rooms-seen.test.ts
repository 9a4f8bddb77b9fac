/** What was counted stands only while nobody else can have taken room, and never near the limit. */
import { expect, test } from 'vitest'
import { type CountedCluster, RoomsSeen } from './rooms-seen.ts'

let now = 0
const cluster = (change: Partial<CountedCluster> = {}): CountedCluster => ({
  ...{ id: 'c', name: 'c', labels: {}, scheduling: 'open', online: true, sessions: 5, warm: 2, seq: 10, epoch: 1, counted: true },
  capabilities: { capacity: { sessions: 10, cpu_millis: null, memory_bytes: null } } as CountedCluster['capabilities'],
  ...change,
})

test('is known until a second is over, and what was placed from here is added', () => {
  const rooms = new RoomsSeen(() => now)
  rooms.read([cluster()])
  expect(rooms.roomy(3)).toEqual([{ id: 'c', seq: 10, epoch: 1, sessions: 5, warm: 2 }])
  rooms.placed('c', 10, { cold: 1, warm: 1 })
  expect(rooms.roomy(1)).toEqual([{ id: 'c', seq: 12, epoch: 1, sessions: 7, warm: 1 }])
  // Read as known: that is no newer than it was.
  now += 900
  rooms.read([cluster({ seq: 12, sessions: 7, warm: 1, counted: false })])
  expect(rooms.roomy(1)).toHaveLength(1)
  now += 100
  expect(rooms.roomy(1)).toEqual([])
})

test('is counted where the room might not do', () => {
  const rooms = new RoomsSeen(() => now)
  rooms.read([cluster()])
  expect(rooms.roomy(4)).toEqual([])
  rooms.read([cluster({ capabilities: null })])
  expect(rooms.roomy(0)).toEqual([])
})

test('keeps what others counted since, and does not add what came before that', () => {
  const rooms = new RoomsSeen(() => now)
  rooms.read([cluster()])
  rooms.read([cluster({ seq: 11, sessions: 6 })])
  rooms.placed('c', 10, { cold: 1, warm: 0 })
  expect(rooms.roomy(1)).toEqual([{ id: 'c', seq: 11, epoch: 1, sessions: 6, warm: 2 }])
})
