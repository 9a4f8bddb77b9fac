import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryStore } from '../testing/agent-under-test.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { AgentMemory, StateError } from './agent-memory.ts'
import { fileStore } from './state-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agent-state-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('file', () => {
  test('nothing, then what was kept, for nobody else to read', async () => {
    const path = join(folder, 'deep', 'state.json')
    const store = fileStore(path)
    expect(await store.load()).toBeNull()
    await store.save('one')
    await store.save('two')
    expect(await store.load()).toBe('two')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(join(folder, 'deep'))).toEqual(['state.json'])
  })

  test('what cannot be written leaves the old text and no litter', async () => {
    const path = join(folder, 'state.json')
    await writeFile(path, 'old')
    const blocked = fileStore(join(path, 'inside-a-file'))
    await expect(blocked.save('new')).rejects.toThrow()
    expect(await readFile(path, 'utf8')).toBe('old')
    expect(await readdir(folder)).toEqual(['state.json'])
  })
})

describe('memory', () => {
  test('comes back with deadlines on the new clock', async () => {
    const store = memoryStore()
    const clock = new FakeClock()
    const memory = await AgentMemory.load(store, clock)
    memory.epoch = 7
    Object.assign(memory.of('ses_a', 3), {
      attempt: 1,
      runningSince: clock.now(),
      deadline: clock.now() + 60_000,
      ending: { cause: 'ttl', reason: 'over' },
    })
    await memory.save()
    await clock.advance(10_000)
    clock.stepWall(0)
    const next = await AgentMemory.load(store, clock)
    expect(next.epoch).toBe(7)
    expect(next.sessions.get('ses_a')).toMatchObject({
      generation: 3,
      ours: false,
      ending: { cause: 'ttl' },
      deadline: clock.now() + 50_000,
      runningSince: clock.now(),
    })
  })

  test('writes are one at a time, the last one wins, equal ones are spared', async () => {
    const store = memoryStore()
    const written: string[] = []
    let atOnce = 0
    let most = 0
    store.save = async text => {
      most = Math.max(most, ++atOnce)
      await new Promise(resolve => setImmediate(resolve))
      written.push(text)
      atOnce--
    }
    const memory = await AgentMemory.load(store, new FakeClock())
    const saves = Array.from({ length: 10 }, (_, index) => {
      memory.epoch = index + 1
      return memory.save()
    })
    await Promise.all(saves)
    await memory.save()
    expect(most).toBe(1)
    expect(written.length).toBeLessThanOrEqual(3)
    expect(JSON.parse(written.at(-1)!)).toMatchObject({ epoch: 10 })
  })

  test('a change to one of many is written, and so is a wall clock that was set', async () => {
    const store = memoryStore()
    const clock = new FakeClock()
    const memory = await AgentMemory.load(store, clock)
    for (const id of ['ses_a', 'ses_b']) memory.of(id, 1).deadline = clock.now() + 60_000
    const stored = () =>
      JSON.parse(store.text!).sessions as Record<string, { ending: unknown; attempt: number; deadline: number }>
    await memory.save()
    const { deadline } = stored().ses_b!
    memory.of('ses_a', 1).ending = { cause: 'ttl', reason: 'over' }
    await memory.save()
    expect(stored()).toMatchObject({ ses_a: { ending: { cause: 'ttl' } }, ses_b: { ending: null, deadline } })
    memory.of('ses_a', 2).attempt = 3
    await memory.save()
    expect(stored().ses_a).toMatchObject({ ending: null, attempt: 3 })
    clock.stepWall(5_000)
    memory.epoch++
    await memory.save()
    expect(stored().ses_b!.deadline).toBe(deadline + 5_000)
  })

  test('a failed write is told to who waits for it, and the next one tries anew', async () => {
    const store = memoryStore()
    const memory = await AgentMemory.load(store, new FakeClock())
    const { save } = store
    store.save = async () => {
      throw new Error('ENOSPC')
    }
    memory.epoch = 1
    await expect(memory.save()).rejects.toThrow('ENOSPC')
    store.save = save
    await memory.save()
    expect(JSON.parse(store.text!)).toMatchObject({ epoch: 1 })
  })

  test('a file that makes no sense is not guessed at', async () => {
    await expect(AgentMemory.load(memoryStore('{"epoch":"x"}'), new FakeClock())).rejects.toThrow(StateError)
    await expect(AgentMemory.load(memoryStore('{'), new FakeClock())).rejects.toThrow(StateError)
  })
})
