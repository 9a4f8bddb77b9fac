/** `run` jobs as real processes behind real walls: ends of every kind, the whole tree with them, and agents that come and go. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type JobAttempt, JobRefused, type JobRuntime } from '../../job-runtime.ts'
import { anAttempt, jobEnded, jobSeen, outputOf, shell } from '../../testing/job-watching.ts'
import { expectNoneLeft } from '../../testing/left-over.ts'
import { type LocalLab, localLab } from '../../testing/local-lab.ts'
import { createLocalRuntime } from '../local-runtime.ts'

let lab: LocalLab
let jobs: JobRuntime
beforeAll(async () => {
  lab = await localLab()
  jobs = lab.runtime.jobs!
}, 60_000)
afterAll(() => lab?.dispose(), 30_000)

async function run(line: string, more: Partial<JobAttempt> = {}, spec: object = {}): Promise<JobAttempt> {
  const attempt = anAttempt({ command: shell(line), ...spec }, more)
  await jobs.start(attempt)
  return attempt
}
const supervisorOf = async (name: string) =>
  JSON.parse(await readFile(join(lab.dataDir, 'jobs', name, 'owner.json'), 'utf8')) as { pid: number }

describe('an end', () => {
  test('by exit code, with output and errors in the order they came, bytes untouched; variables and secrets inside', async () => {
    const line = 'printf "%s\\000\\377\\n" "$A$B"; echo err >&2; echo out; pwd; exit 3'
    const attempt = await run(line, { secrets: { s: "it's" } }, { env: { A: 'a"$x`' }, secret_env: { B: 's' } })
    await Promise.all([jobs.start(attempt), jobs.start(attempt)])
    const ended = await jobEnded(jobs, attempt.name)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'exit', exitCode: 3 })
    const { bytes, gaps } = await outputOf(jobs, ended)
    expect([bytes.toString('latin1'), gaps]).toEqual([`a"$x\`it's\0\xff\nerr\nout\n/home/porthole\n`, 0])
    expect((await outputOf(jobs, ended, 5)).bytes.equals(bytes.subarray(5))).toBe(true)
    await jobs.remove(attempt.name, 'another making')
    expect(await jobs.observe()).toHaveLength(1)
    await jobs.remove(attempt.name, ended.uid)
    expect(await jobs.observe()).toEqual([])
  })

  test.each([
    ['a command that is not there', '/nowhere/at-all', { cause: 'exit', exitCode: 127 }],
    ['a signal', 'kill -9 $$', { cause: 'signal', exitCode: 137 }],
    ['success, although a child of it goes on', 'sleep 500 & exit 0', { outcome: 'succeeded', exitCode: 0 }],
  ])('by %s', async (_, line, expected) => {
    const attempt = await run(line)
    expect(await jobEnded(jobs, attempt.name)).toMatchObject(expected)
    await expectNoneLeft(lab.dataDir, /sleep 500/)
  })

  test('by its deadline, and by cancel: politely first, then the whole tree', async () => {
    const deaf = 'trap "" TERM; (trap "" TERM; exec sleep 501) & sleep 501; sleep 501'
    const [late, polite, stubborn] = await Promise.all([
      run('sleep 502', { timeoutMs: 300, graceMs: 200 }),
      run('trap "echo told; exit 0" TERM; echo up; while :; do sleep 0.05; done'),
      run(`echo up; ${deaf}`, { graceMs: 300 }),
    ])
    for (const { name, graceMs } of [polite, stubborn]) {
      const { uid } = await jobSeen(jobs, name, each => each.phase === 'running')
      const first = jobs.logs(name, uid, '', { offset: 0, mark: null }, AbortSignal.timeout(20_000))[Symbol.asyncIterator]()
      expect(Buffer.from(((await first.next()).value as { data: Uint8Array }).data).toString()).toBe('up\n')
      await first.return?.()
      await jobs.cancel(name, uid, graceMs)
      await jobs.cancel(name, uid, graceMs)
    }
    expect(await jobEnded(jobs, late.name)).toMatchObject({ outcome: 'failed', cause: 'deadline' })
    const told = await jobEnded(jobs, polite.name)
    expect(told).toMatchObject({ outcome: 'canceled', cause: 'canceled', exitCode: 0 })
    expect((await outputOf(jobs, told)).bytes.toString()).toBe('up\ntold\n')
    expect(await jobEnded(jobs, stubborn.name)).toMatchObject({ outcome: 'canceled' })
    await expectNoneLeft(lab.dataDir, /sleep 50[12]/)
  })

  test('that nobody saw: a supervisor that was killed takes its job along and leaves it lost', async () => {
    // At once: its sandbox is still being built, and not yet tied to its life.
    const attempt = await run('echo up; sleep 503')
    process.kill((await supervisorOf(attempt.name)).pid, 'SIGKILL')
    expect(await jobEnded(jobs, attempt.name)).toMatchObject({ outcome: 'failed', cause: 'lost' })
    await expectNoneLeft(lab.dataDir, /sleep 503/)
    await jobs.start(attempt)
    expect((await jobs.observe()).filter(each => each.name === attempt.name)).toHaveLength(1)
  })

  test('by its memory limit: all of it together counts', async () => {
    const eat = 'x=$(head -c 60000000 /dev/zero | tr "\\0" x); sleep 506'
    const [greedy, modest] = await Promise.all(
      [64, 1024].map(mebibytes => run(`(${eat}) & (${eat}) & wait`, {}, { limits: { memory_bytes: mebibytes * 2 ** 20 } })),
    )
    const ended = await jobEnded(jobs, greedy!.name, 90_000)
    expect(ended).toMatchObject({ outcome: 'failed', cause: 'out_of_memory', reason: expect.stringContaining('64 MiB') })
    expect((await jobs.observe()).find(each => each.name === modest!.name)).toMatchObject({ phase: 'running' })
    const { uid } = await jobSeen(jobs, modest!.name, each => each.phase === 'running')
    await jobs.cancel(modest!.name, uid, 0)
    await jobEnded(jobs, modest!.name, 60_000)
  }, 120_000)

  test('before it began: no command, no job', async () => {
    await expect(jobs.start(anAttempt({ image: 'alpine' }))).rejects.toThrow(JobRefused)
  })
})

describe('output', () => {
  test('of a flood: nothing waits for a reader, what is not kept is a gap, the beginning and the end are there', async () => {
    const attempt = await run('seq 1 6000000; echo the end')
    const ended = await jobEnded(jobs, attempt.name, 60_000)
    const { bytes, gaps, end } = await outputOf(jobs, ended)
    expect(end).toBe(46_888_896 + 8)
    expect(gaps).toBeGreaterThan(30_000_000)
    expect(bytes.length).toBeLessThan(12 * 2 ** 20)
    expect(bytes.subarray(0, 6).toString()).toBe('1\n2\n3\n')
    expect(bytes.subarray(-16).toString()).toBe('6000000\nthe end\n')
  }, 60_000)
})

describe('agents', () => {
  test('a killed one leaves its jobs running; the next one finds them, their output and their end', async () => {
    const attempt = anAttempt({ command: shell('for i in $(seq 1 30); do echo $i; sleep 0.05; done; exit 7') })
    const other = await lonelyAgent(attempt)
    other.kill('SIGKILL')
    await once(other, 'exit')
    const { uid } = await jobSeen(jobs, attempt.name, () => true)
    const ended = await jobEnded(jobs, attempt.name)
    expect(ended).toMatchObject({ uid, outcome: 'failed', exitCode: 7 })
    const expected = Array.from({ length: 30 }, (_, n) => `${n + 1}\n`).join('')
    expect((await outputOf(jobs, ended)).bytes.toString()).toBe(expected)
  }, 40_000)

  test('one that ends in good order ends its jobs, and says so in the next life', async () => {
    const own = await localLab()
    const attempt = anAttempt({ command: shell('echo up; sleep 504') })
    await own.runtime.jobs!.start(attempt)
    await jobSeen(own.runtime.jobs!, attempt.name, each => each.phase === 'running')
    await own.runtime.close()
    await expectNoneLeft(own.dataDir)
    const next = await createLocalRuntime({ dataDir: own.dataDir })
    expect(await jobEnded(next.jobs!, attempt.name)).toMatchObject({ outcome: 'failed', cause: 'agent_stopped' })
    await next.close()
    await own.dispose()
  }, 40_000)

  test('none for too long: the job ends by itself', async () => {
    const attempt = anAttempt({ command: shell('echo up; sleep 505') })
    const own = await localLab()
    const other = await lonelyAgent(attempt, own.dataDir, 100)
    other.kill('SIGKILL')
    await expectNoneLeft(own.dataDir)
    expect(await jobEnded(own.runtime.jobs!, attempt.name)).toMatchObject({ cause: 'agent_stopped' })
    await own.dispose()
  }, 40_000)
})

/** An agent in a process of its own that has begun this attempt. */
async function lonelyAgent(attempt: JobAttempt, dataDir = lab.dataDir, orphanMs = 60_000): Promise<ChildProcess> {
  const program = `
    import { createLocalRuntime } from ${JSON.stringify(new URL('../local-runtime.ts', import.meta.url).href)}
    const runtime = await createLocalRuntime({ dataDir: ${JSON.stringify(dataDir)}, jobs: { orphanMs: ${orphanMs} } })
    await runtime.jobs.start(${JSON.stringify(attempt)})
    process.stdout.write('begun')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout!, 'data')
  return child
}
