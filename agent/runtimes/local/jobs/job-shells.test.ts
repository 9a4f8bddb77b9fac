/** Terminals inside the sandbox of a running job: what every shell must do, in the job's own environment, and gone with it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import type { JobAttempt, JobRuntime } from '../../job-runtime.ts'
import type { Runtime } from '../../runtime.ts'
import { exerciseShells, ShellReader } from '../../shell-conformance.ts'
import { anAttempt, jobEnded, jobSeen, shell } from '../../testing/job-watching.ts'
import { expectNoneLeft } from '../../testing/left-over.ts'
import { type LocalLab, localLab } from '../../testing/local-lab.ts'

let lab: LocalLab
let jobs: JobRuntime
let attempt: JobAttempt
const of: TerminalJob = { type: 'run', attempt: 1, project: 'prj_lab' }

async function running(line: string, more: Partial<JobAttempt> = {}, spec: object = {}): Promise<JobAttempt> {
  const made = anAttempt({ command: shell(line), ...spec }, { timeoutMs: 600_000, ...more })
  await jobs.start(made)
  await jobSeen(jobs, made.name, each => each.phase === 'running', 60_000)
  return made
}
/** A job counts as running from the moment its sandbox is being built. */
async function open(job: string, terminal: string): Promise<ShellReader> {
  for (;;) {
    const order = { terminal, cols: 90, rows: 30 }
    const made = await jobs.exec!(job, of, order, AbortSignal.timeout(60_000)).catch(error => error as { status: number })
    if (!('status' in made)) return new ShellReader(made)
    if (made.status !== 503) throw made
  }
}

beforeAll(async () => {
  lab = await localLab()
  jobs = lab.runtime.jobs!
  const env = { env: { CITY: "St. John's" }, secret_env: { KEY: 'k' } }
  attempt = await running('echo up; sleep 700', { secrets: { k: 'sesame' } }, env)
  await (await open(attempt.job, 'trm_first')).shell.end()
}, 120_000)
afterAll(() => lab?.dispose(), 60_000)

describe('a shell in a job', { timeout: 120_000 }, () => {
  exerciseShells(() => {
    const exec: Runtime['exec'] = (session, order, signal) =>
      jobs.exec!(session === 'ses_nowhere' ? 'job_nowhere' : attempt.job, of, order, signal)
    return { runtime: { exec } as Runtime, session: 'here' }
  })

  test('sees what the job sees: its variables, its files, its processes, and is its user', async () => {
    const reader = await open(attempt.job, 'trm_env')
    await reader.ask('echo "[$CITY] [$KEY] $PORTHOLE_JOB."', new RegExp(`\\[St\\. John's\\] \\[sesame\\] ${attempt.name}\\.`))
    await reader.ask(
      'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null; echo do""ne',
      /sleep 700[\s\S]*done/,
    )
    await reader.ask('id -un; hostname; echo >mine && ls', /porthole\s+porthole\s+[\s\S]*mine/)
    await reader.shell.end()
  })

  test('ends with the job, and the job ends as if nobody had been in it', async () => {
    const short = await running('while [ ! -e over ]; do sleep 0.1; done; exit 4')
    const reader = await open(short.job, 'trm_short')
    await reader.ask('nohup sleep 98771 >/dev/null 2>&1 & echo sta""rted', /started/)
    reader.shell.stream.write('touch over\n')
    expect(await jobEnded(jobs, short.name, 60_000)).toMatchObject({ outcome: 'failed', exitCode: 4 })
    expect((await reader.shell.ended).exitCode).toBeNull()
    await reader.shell.end()
    await expectNoneLeft(lab.dataDir, /sleep 98771/)
    await expect(
      jobs.exec!(short.job, of, { terminal: 'trm_late', cols: 80, rows: 24 }, AbortSignal.timeout(60_000)),
    ).rejects.toMatchObject({ status: 503 })
  })
})
