/** A real screen recorded: what the file holds is a screen's whole conversation, and files live and end as their sessions do. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../clock.ts'
import type { HostResponse, Runtime } from '../runtimes/runtime.ts'
import { ScriptedRuntime } from '../testing/scripted-runtime.ts'
import { aSpec } from '../testing/session-fixtures.ts'
import { Xvnc } from '../testing/xvnc.ts'
import { withRecordings } from './recording-runtime.ts'

let xvnc: Xvnc
let folder: string
let below: ScriptedRuntime
let runtime: Runtime
let end: () => Promise<void>
const lines: string[] = []
const log = { info() {}, warn: (text: string) => lines.push(text), error: (text: string) => lines.push(text) }
const signal = new AbortController().signal
const recorded = { ...aSpec(), recording: true }

beforeAll(async () => {
  xvnc = await Xvnc.start()
})
afterAll(() => xvnc?.stop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recordings-'))
  below = new ScriptedRuntime()
  below.onDial = async () => ({ kind: 'bytes', socket: await xvnc.connect() })
  await open()
})
afterEach(async () => {
  await end()
  await rm(folder, { recursive: true, force: true })
})

async function open(maxBytes = 2 ** 24): Promise<void> {
  ;({ runtime, end } = await withRecordings(below, { folder, maxBytes, clock: systemClock, log }))
}

async function ask(path: string): Promise<{ status: number; bytes: Buffer }> {
  const answer: HostResponse = await runtime.host('ses_a', { method: 'GET', path, headers: {}, signal })
  return { status: answer.status, bytes: await buffer(answer.body) }
}
const list = async () => JSON.parse((await ask('/recordings')).bytes.toString()).data as { id: string; bytes: number }[]

/** Looks around as the agent's keeper does, until it holds. */
const lookUntil = (holds: () => Promise<boolean>) =>
  vi.waitFor(
    async () => {
      await runtime.observe()
      if (!(await holds())) throw new Error('not yet')
    },
    { timeout: 20_000 },
  )

/** Blocks as a player reads them. */
function blocks(file: Buffer): { bytes: Buffer; ms: number }[] {
  expect(file.subarray(0, 12).toString()).toBe('FBS 001.001\n')
  const found = []
  for (let at = 12; at < file.length; ) {
    const length = file.readUInt32BE(at)
    const end = at + 4 + Math.ceil(length / 4) * 4
    found.push({ bytes: file.subarray(at + 4, at + 4 + length), ms: file.readUInt32BE(end) })
    at = end + 4
  }
  return found
}

test('a recorded session’s screen is in the file, from its introduction on; it can be read while it grows and when it is over', async () => {
  await runtime.start('ses-a-g1', 'ses_a', 1, recorded)
  await lookUntil(async () => (await list()).some(each => each.bytes > 110))
  const growing = blocks((await ask('/recordings/g1-1')).bytes)
  const said = Buffer.concat(growing.map(block => block.bytes))
  expect(said.subarray(0, 18)).toEqual(Buffer.from('RFB 003.008\n\x01\x01\0\0\0\0', 'latin1'))
  expect([said.readUInt16BE(18), said.readUInt16BE(20)]).toEqual([640, 480])
  expect(growing.map(block => block.ms)).toEqual(growing.map(block => block.ms).sort((a, b) => a - b))

  const [instance] = await runtime.observe()
  await runtime.stop(instance!.name, instance!.uid, 0)
  await runtime.observe()
  await end()
  expect((await ask('/recordings/g1-1')).bytes).toEqual(await readFile(join(folder, 'ses_a', 'g1-1.fbs')))
  expect((await ask('/recordings/g1-9')).status).toBe(404)
  expect((await ask('/recordings/..%2f..%2fkey')).status).toBe(404)
  await runtime.forget('ses_a')
  expect(await readdir(folder)).toEqual([])
})

test('nobody is recorded who did not ask for it, and nothing without a screen', async () => {
  await runtime.start('ses-a-g1', 'ses_a', 1, aSpec())
  await runtime.start('ses-b-g1', 'ses_b', 1, { ...recorded, headless: true })
  await runtime.observe()
  expect(await readdir(folder)).toEqual([])
  expect(await list()).toEqual([])
  expect((await runtime.capabilities()).features).toContain('recording')
})

test('an agent that comes back goes on in another file; so does a screen that went away for a moment', async () => {
  await runtime.start('ses-a-g1', 'ses_a', 1, recorded)
  const parts = (count: number) => lookUntil(async () => (await list()).length === count)
  await parts(1)
  await end()
  await open()
  await parts(2)
  expect((await list()).map(each => each.id)).toEqual(['g1-1', 'g1-2'])
})

test('a full one ends, says so once, and is not begun anew', async () => {
  await end()
  await open(1_000)
  await runtime.start('ses-a-g1', 'ses_a', 1, recorded)
  lines.length = 0
  await lookUntil(async () => lines.length > 0)
  for (let round = 0; round < 3; round++) await runtime.observe()
  expect(lines).toEqual(['a recording ends: it has reached its largest size'])
  expect(await list()).toEqual([])
})

test('a place that cannot hold recordings is told at the start, in a sentence', async () => {
  const file = join(folder, 'a-file')
  await writeFile(file, '')
  const opened = withRecordings(below, { folder: file, maxBytes: 1, clock: systemClock, log })
  await expect(opened).rejects.toThrow(`recordings cannot be kept in ${file}: `)
})
