/** Terminals over real sockets: coming back, being slow, ending. The shell is played, the clock is held. */
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Open } from '#protocol/link-messages.ts'
import type { TerminalTarget, ToTerminalViewer } from '#protocol/terminal-frames.ts'
import { terminalScrollback } from '#protocol/terminal-frames.ts'
import { ApiDouble, listen } from '../testing/api-double.ts'
import { ScriptedShell } from '../testing/scripted-shell.ts'
import { eventually, TableWorld } from '../testing/table-world.ts'

setFlagsFromString('--expose-gc')
/** What is only waiting to be collected is not held. */
const collectGarbage = runInNewContext('gc') as () => void

let api: ApiDouble
let world: TableWorld
let shells: ScriptedShell[]
beforeAll(async () => {
  api = await ApiDouble.start()
})
afterAll(() => api.kill())
beforeEach(() => begin())
afterEach(async () => {
  await world.table.endAll({ code: 1001, reason: '' })
  await world.terminals.close()
})

function begin(policy = {}): void {
  world = new TableWorld(api, policy)
  shells = []
  world.runtime.exec = async () => {
    const shell = new ScriptedShell()
    shells.push(shell)
    return shell
  }
}

const start = { cols: 80, rows: 24, idle_timeout_ms: 600_000 }
const wish = (part: Partial<TerminalTarget> = {}): Partial<Open> => ({
  kind: 'terminal',
  target: { terminal: { id: 'trm_1', start, frames: 'binary', ...part } },
})
async function view(part: Partial<TerminalTarget> = {}) {
  const stream = world.open(wish(part))
  const socket = await api.dataSocket(stream)
  const heard = listen(socket)
  const said = () => heard.messages.filter(each => typeof each === 'string').map(each => JSON.parse(each) as ToTerminalViewer)
  await heard.until(() => said().length > 0)
  return { stream, socket, said, ...heard }
}

describe('a terminal', () => {
  test('says where it stands, passes bytes both ways, and its sizes', async () => {
    const viewer = await view()
    expect(viewer.said()[0]).toEqual({ type: 'connected', terminal: 'trm_1', offset: 0, live: 0, cols: 80, rows: 24 })
    shells[0]!.say('hello')
    await viewer.until(() => String(viewer.bytes()) === 'hello')
    viewer.socket.send(Buffer.from('ls\r'))
    viewer.socket.send(JSON.stringify({ type: 'input', data: 'pwd\r' }))
    viewer.socket.send('{"type":"eof"}')
    await eventually(() => shells[0]!.typed === 'ls\rpwd\r\x04')
    for (const size of ['"cols":132,"rows":43', '"cols":0,"rows":0', '"cols":65535,"rows":65535'])
      viewer.socket.send(`{"type":"resize",${size}}`)
    viewer.socket.send('{"type":"ping"}')
    viewer.socket.send('{"type":"dance"}')
    await viewer.until(() => viewer.said().some(each => each.type === 'error'))
    expect(viewer.said().at(-2)).toEqual({ type: 'pong' })
    expect(shells[0]!.sizes).toEqual(['132x43', '80x24', '1000x500'])
    expect(world.active).toBeGreaterThan(0)
  })

  test('many look at the same one; a size set by one is told to the others', async () => {
    const [first, second] = [await view(), await view()]
    expect(shells).toHaveLength(1)
    first.socket.send('{"type":"resize","cols":100,"rows":30}')
    await second.until(() => second.said().length > 1)
    expect(second.said()[1]).toEqual({ type: 'resized', cols: 100, rows: 30 })
    shells[0]!.say('both')
    await Promise.all([first, second].map(each => each.until(() => String(each.bytes()) === 'both')))
    expect(first.said()).toHaveLength(1)
  })

  test('as JSON: output is text with its offset, and no character is cut in two', async () => {
    const viewer = await view({ frames: 'json' })
    const [left, right] = [Buffer.from('10 €').subarray(0, 4), Buffer.from('10 €').subarray(4)]
    shells[0]!.say(left)
    await viewer.until(() => viewer.said().length === 2)
    shells[0]!.say(right)
    await viewer.until(() => viewer.said().length === 3)
    expect(viewer.said().slice(1)).toEqual([
      { type: 'output', offset: 0, data: '10 ' },
      { type: 'output', offset: 4, data: '€' },
    ])
    expect(viewer.bytes()).toHaveLength(0)
  })
})

describe('coming back', () => {
  test('the network is cut: the shell lives on, and the offset finds every byte once', async () => {
    const first = await view()
    shells[0]!.say('before')
    await first.until(() => String(first.bytes()) === 'before')
    first.socket.terminate()
    await world.outcome(first.stream)
    shells[0]!.say(' meanwhile')
    await eventually(() => world.terminals.observed()[0]!.output_bytes === 16)
    const again = await view({ offset: 6, start: undefined })
    expect(again.said()[0]).toMatchObject({ type: 'connected', offset: 6, live: 16 })
    shells[0]!.say(' after')
    await again.until(() => String(again.bytes()) === ' meanwhile after')
    expect(shells).toHaveLength(1)
    expect(shells[0]!.ends).toBe(0)
    const fresh = await view({ start: undefined })
    await fresh.until(() => String(fresh.bytes()) === 'before meanwhile after')
  })

  test('too long away: what the scroll-back has lost is a gap of exactly that size', async () => {
    const first = await view()
    first.socket.terminate()
    await world.outcome(first.stream)
    const lines = Buffer.from(Array.from({ length: 60_000 }, (_, at) => `line ${at}\n`).join(''))
    shells[0]!.say(lines)
    await drained(lines.length)
    const again = await view({ offset: 0, start: undefined })
    const gap = await find(again, 'gap')
    await again.until(() => gap.bytes + again.bytes().length === lines.length)
    expect(again.bytes().equals(lines.subarray(gap.bytes))).toBe(true)
    expect(again.bytes().length).toBeGreaterThan(terminalScrollback - 100)
    expect(lines[gap.bytes - 1]).toBe(0x0a)
  })

  test('an agent that does not know it never makes another in its place', async () => {
    const stream = world.open(wish({ start: undefined }))
    expect(await world.outcome(stream)).toMatchObject({ type: 'refused', status: 410, code: 'terminal_ended' })
    expect(shells).toHaveLength(0)
  })

  test('two at once make one shell; another session’s cannot be reached', async () => {
    await Promise.all([view(), view()])
    expect(shells).toHaveLength(1)
    const { terminals } = world
    await expect(
      terminals.open({ session: 'ses_other' }, wish().target!.terminal!, AbortSignal.timeout(1_000)),
    ).rejects.toMatchObject({ status: 404 })
  })
})

describe('a viewer who does not read', () => {
  test('costs a bounded memory, holds up nobody, and is told what it missed', async () => {
    const slow = await view()
    slow.socket.pause()
    let quick = 0
    const other = await view()
    other.socket.removeAllListeners('message')
    other.socket.on('message', (data: Buffer, binary) => {
      quick += binary ? data.length : 0
    })
    const block = Buffer.alloc(64 * 1024, '0123456789abcde\n')
    const total = 800 * block.length
    // Buffers of sockets live outside the heap.
    // What was collected is given back a moment later.
    const held = async () => {
      for (let turn = 0; turn < 3; turn++) {
        collectGarbage()
        await setImmediate()
      }
      return process.memoryUsage().arrayBuffers
    }
    const before = await held()
    for (let said = block.length; said <= total; said += block.length) {
      shells[0]!.say(block)
      await drained(said)
      await eventually(() => quick === said)
    }
    expect((await held()) - before).toBeLessThan(16 * 2 ** 20)
    slow.socket.resume()
    let arrived = 0
    let missed = 0
    const count = () => {
      for (const each of slow.messages.splice(0))
        if (typeof each !== 'string') arrived += each.length
        else {
          const frame = JSON.parse(each) as ToTerminalViewer
          if (frame.type === 'gap') missed += frame.bytes
        }
      return arrived + missed
    }
    await slow.until(() => count() === total)
    expect(missed).toBeGreaterThan(40 * 2 ** 20)
    expect(quick).toBe(total)
  }, 60_000)
})

describe('its end', () => {
  test('it exits: what it wrote, its code, then the close; who comes later reads the same', async () => {
    const viewer = await view()
    shells[0]!.say('bye\n')
    shells[0]!.exit(3, 'It ended with exit code 3.')
    expect(await viewer.closed).toMatchObject({ code: 1000 })
    expect(String(viewer.bytes())).toBe('bye\n')
    expect(viewer.said().at(-1)).toEqual({ type: 'exit', exit_code: 3, reason: 'It ended with exit code 3.' })
    const later = await view({ start: undefined })
    expect((await later.closed).code).toBe(1000)
    expect(String(later.bytes())).toBe('bye\n')
    expect(world.terminals.observed()).toMatchObject([{ state: 'ended', exit_code: 3, cause: 'exited' }])
    await world.clock.advance(5 * 60_000)
    expect(world.terminals.observed()).toEqual([])
  })

  test('nobody uses it: idle; a key or output that somebody sees keeps it', async () => {
    const viewer = await view()
    await world.clock.advance(500_000)
    viewer.socket.send(Buffer.from('x'))
    await eventually(() => shells[0]!.typed === 'x')
    await world.clock.advance(500_000)
    shells[0]!.say('y')
    await viewer.until(() => viewer.bytes().length === 1)
    await world.clock.advance(599_000)
    expect(world.terminals.live).toBe(1)
    viewer.socket.send('{"type":"ping"}')
    await viewer.until(() => viewer.said().at(-1)?.type === 'pong')
    await world.clock.advance(2_000)
    expect((await viewer.closed).code).toBe(4410)
    expect(world.terminals.observed()).toMatchObject([{ state: 'ended', cause: 'idle' }])
    expect(shells[0]!.ends).toBeGreaterThan(0)
  })

  test('what nobody sees does not keep it', async () => {
    const viewer = await view()
    viewer.socket.terminate()
    await world.outcome(viewer.stream)
    for (let minute = 0; minute < 10; minute++) {
      shells[0]!.say('tick\n')
      await world.clock.advance(60_000)
    }
    await eventually(() => world.terminals.live === 0)
    expect(world.terminals.observed()[0]!.cause).toBe('idle')
  })

  test('closed by the API: it ends, is wiped, and stays ended', async () => {
    const viewer = await view()
    shells[0]!.say('a secret')
    await viewer.until(() => viewer.bytes().length === 8)
    world.terminals.endAll(['trm_1', 'trm_2'])
    expect((await viewer.closed).code).toBe(4410)
    const later = await view()
    expect((await later.closed).code).toBe(4410)
    expect(later.bytes()).toHaveLength(0)
    expect(await world.outcome(world.open(wish({ id: 'trm_2' })))).toMatchObject({ status: 410 })
    expect(shells).toHaveLength(1)
  })

  test('its session ends, its stream’s grant ends, its program is lost', async () => {
    const lost = await view()
    shells[0]!.exit(null, 'the pod is gone')
    expect(await lost.closed).toEqual({ code: 4410, reason: 'the pod is gone' })
    const other = await view({ id: 'trm_2' })
    await world.clock.advance(0)
    world.table.close(other.stream, 4401, 'token_ended')
    expect((await other.closed).code).toBe(4401)
    expect(shells[1]!.ends).toBe(0)
    world.terminals.endSession('ses_a', 'The session was stopped.')
    await eventually(() => world.terminals.live === 0)
    expect(world.terminals.observed().find(each => each.id === 'trm_2')).toMatchObject({ cause: 'session_ended' })
  })

  test('no more than the cluster allows, and none where it allows none', async () => {
    begin({ maxTerminals: 1 })
    await view()
    expect(await world.outcome(world.open(wish({ id: 'trm_2' })))).toMatchObject({ status: 503, code: 'no_capacity' })
    await world.table.endAll({ code: 1001, reason: '' })
    await world.terminals.close()
    expect(shells[0]!.ends).toBeGreaterThan(0)
    begin({ featuresOff: ['exec'] })
    expect(await world.outcome(world.open(wish()))).toMatchObject({ status: 403 })
    begin()
    delete world.runtime.exec
    expect(await world.outcome(world.open(wish()))).toMatchObject({ status: 501 })
  })
})

async function drained(length: number): Promise<void> {
  while (world.terminals.observed()[0]!.output_bytes < length) await world.clock.advance(50)
}

async function find<T extends ToTerminalViewer['type']>(viewer: Awaited<ReturnType<typeof view>>, type: T) {
  await viewer.until(() => viewer.said().some(each => each.type === type))
  return viewer.said().find(each => each.type === type) as Extract<ToTerminalViewer, { type: T }>
}

describe('in a job', () => {
  const job = { type: 'run' as const, attempt: 2, project: 'prj_a' }
  const into = (part: Partial<Open> = {}, more = {}) =>
    world.open({ ...wish({ start: { ...start, job } }), session: 'job_a', ...part, ...more })
  const asked: unknown[] = []
  beforeEach(() => {
    asked.length = 0
    const exec = async (...[id, of]: [string, unknown]) => {
      asked.push([id, of])
      const shell = new ScriptedShell()
      shells.push(shell)
      return shell
    }
    world.runtime.jobs = { exec } as unknown as NonNullable<typeof world.runtime.jobs>
  })

  test('it is made by what runs jobs, and ends with the job', async () => {
    const socket = await api.dataSocket(into())
    const heard = listen(socket)
    await heard.until(() => heard.messages.length > 0)
    expect(asked).toEqual([['job_a', job]])
    expect(world.active).toBe(0)
    world.terminals.endSession('job_a', 'The job has ended.')
    expect(await heard.closed).toMatchObject({ code: 4410 })
    expect(world.terminals.observed()[0]).toMatchObject({ state: 'ended', cause: 'session_ended' })
  })

  test.each([
    ['a kind that jobs do not have', {}, { kind: 'port' as const, target: { port: 80 } }, 403],
    ['somebody who may only look', {}, { role: 'view' as const }, 403],
    ['terminals switched off', { featuresOff: ['terminal'] }, {}, 403],
    ['jobs switched off', { featuresOff: ['jobs'] }, {}, 403],
  ])('refused: %s', async (_, policy, part, status) => {
    const runtime = world.runtime.jobs
    begin(policy)
    if (runtime) world.runtime.jobs = runtime
    expect(await world.outcome(into(part))).toMatchObject({ type: 'refused', status })
    expect(asked).toEqual([])
  })

  test('refused: a runtime without it, and an API that does not say of what kind the job is', async () => {
    expect(await world.outcome(into(wish()))).toMatchObject({ type: 'refused', status: 501 })
    delete world.runtime.jobs
    expect(await world.outcome(into())).toMatchObject({ type: 'refused', status: 501 })
  })
})
