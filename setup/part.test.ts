import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Told } from './config.ts'
import { type Part, type PartOptions, startPart } from './part.ts'

describe('a part', () => {
  let root: string
  let said: string[]
  let parts: Part[]
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'part-'))
    said = []
    parts = []
  })
  afterEach(async () => {
    await Promise.all(parts.map(part => part.stop(0)))
    rmSync(root, { recursive: true, force: true })
  })

  function start(code: string, options: Partial<PartOptions> = {}): Part {
    const entry = join(root, 'entry.ts')
    writeFileSync(entry, code)
    const part = startPart({
      name: 'API',
      entry,
      root,
      environment: () => ({ COUNT: join(root, 'lives') }),
      log: join(root, 'api.log'),
      say: line => said.push(line),
      restart: { firstMs: 5, mostMs: 20 },
      ...options,
    })
    parts.push(part)
    return part
  }
  const countLife = `import { appendFileSync } from 'node:fs'
    appendFileSync(process.env.COUNT!, process.pid + '\\n')\n`
  const lives = () =>
    existsSync(join(root, 'lives')) ? readFileSync(join(root, 'lives'), 'utf8').trim().split('\n').map(Number) : []
  const untilLives = (count: number) =>
    vi.waitFor(() => expect(lives().length).toBeGreaterThanOrEqual(count), { timeout: 30_000, interval: 10 })

  it('is ready when it says so, with its address, and what it writes goes to its log', async () => {
    const part = start(
      `console.log('to out'); console.error('to err'); process.send!({ type: 'ready', url: 'http://127.0.0.1:1' }); setInterval(() => {}, 1e6)`,
    )
    expect(await part.ready).toEqual({ url: 'http://127.0.0.1:1' })
    await part.stop(1000)
    expect(readFileSync(join(root, 'api.log'), 'utf8').trim().split('\n').sort()).toEqual(['to err', 'to out'])
    expect(said).toEqual([])
  })

  it('is started again after a violent death, however often', async () => {
    const part = start(`${countLife}process.send!({ type: 'ready' }); setInterval(() => {}, 1e6)`)
    await part.ready
    for (let death = 1; death <= 4; death++) {
      await untilLives(death)
      process.kill(lives().at(-1)!, 'SIGKILL')
    }
    await untilLives(5)
    expect(said).toHaveLength(4)
    expect(said[0]).toBe(`The API ended by SIGKILL (its log: ${join(root, 'api.log')}); starting it again`)
  })

  it('is not tried again when it says itself that it cannot', async () => {
    const part = start(`${countLife}process.send!({ type: 'fatal', message: 'Port 1 is taken' }, () => process.exit(1))`)
    await expect(part.ready).rejects.toEqual(new Told('Port 1 is taken'))
    expect(await part.ended).toBe(1)
    expect(lives()).toHaveLength(1)
  })

  it('gets three tries until it was ready once', async () => {
    const part = start(`${countLife}process.exit(4)`)
    await expect(part.ready).rejects.toThrow(/^The API ended with code 4/)
    expect(await part.ended).toBe(4)
    expect(lives()).toHaveLength(3)
  })

  it('ends when asked, without being started again', async () => {
    const part = start(
      `${countLife}process.on('SIGTERM', () => process.exit(0)); process.send!({ type: 'ready' }); setInterval(() => {}, 1e6)`,
    )
    await part.ready
    await part.stop(10_000)
    expect(await part.ended).toBe(0)
    expect(lives()).toHaveLength(1)
  })

  it('is killed when it does not end in time', async () => {
    const part = start(
      `${countLife}process.on('SIGTERM', () => {}); process.send!({ type: 'ready' }); setInterval(() => {}, 1e6)`,
    )
    await part.ready
    await part.stop(50)
    expect(existsSync(`/proc/${lives()[0]}`)).toBe(false)
  })

  it('is told to end when its supervisor is killed', async () => {
    // A supervisor in a process of its own, of which nothing is left but the part.
    const child = `${countLife}setInterval(() => {}, 1e6); process.send!({ type: 'ready' })`
    writeFileSync(join(root, 'child.ts'), child)
    const supervisor = start(
      `import { startPart } from ${JSON.stringify(join(import.meta.dirname, 'part.ts'))}
       const part = startPart({ name: 'inner', entry: ${JSON.stringify(join(root, 'child.ts'))}, root: ${JSON.stringify(root)},
         environment: () => process.env, log: ${JSON.stringify(join(root, 'inner.log'))}, say() {}, restart: false })
       await part.ready
       process.send!({ type: 'ready' })`,
      { restart: false },
    )
    await supervisor.ready
    const [inner] = lives()
    await supervisor.stop(0)
    await vi.waitFor(() => expect(existsSync(`/proc/${inner}`)).toBe(false), { timeout: 30_000, interval: 10 })
  })
})
