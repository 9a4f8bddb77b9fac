/** Each frame beside what `ws` makes of the same message, with and without room in front. */
import type { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import * as ws from 'ws'
import { zeroMask } from '../link/link-socket.ts'
import { sendBytes } from './byte-frame.ts'

type Frame = (data: Buffer, options: object) => Buffer[]
const { frame } = (ws as unknown as { Sender: { frame: Frame } }).Sender
const options = { opcode: 2, fin: true, mask: true, readOnly: true, rsv1: false, generateMask: zeroMask }

function written(payload: Buffer, room: number): Buffer {
  const parts: Buffer[] = []
  const connection = { cork() {}, uncork() {}, write: (part: Buffer) => parts.push(Buffer.from(part)) } as unknown as Duplex
  const memory = Buffer.concat([Buffer.alloc(room, 0xee), payload, Buffer.alloc(3, 0xdd)])
  const place = { floor: 0, start: room, end: room + payload.length }
  sendBytes({ _socket: connection } as unknown as ws.WebSocket, memory, place, () => {})
  expect(memory.subarray(place.end)).toEqual(Buffer.alloc(3, 0xdd))
  return Buffer.concat(parts)
}

test.each([1, 125, 126, 127, 65_535, 65_536, 200_000])('a message of %i bytes', length => {
  const payload = Buffer.alloc(length, 'porthole')
  const expected = Buffer.concat(frame(Buffer.from(payload), options))
  for (const room of [0, 5, 13, 14, 16]) expect(written(payload, room).equals(expected)).toBe(true)
})
