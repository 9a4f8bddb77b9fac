/** `Prefer: wait=N`: holds the answer until the job is over, at most N seconds, then answers what is true. The row is the truth. */
import type { Ctx } from '../context.ts'
import { pauseFor } from '../sessions/wait.ts'
import { isFinalJob } from './lifecycle.ts'
import { getJob } from './read.ts'
import type { Job } from './schema.ts'

export async function waitUntilOver(ctx: Ctx, id: string, seconds: number, signal: AbortSignal): Promise<Job> {
  const until = performance.now() + seconds * 1000
  let pause = 50
  for (;;) {
    const { attempts: _, ...job } = await getJob(ctx, id)
    if (isFinalJob(job.status) || performance.now() >= until || signal.aborted) return job
    await pauseFor(Math.min(pause, until - performance.now()), signal)
    pause = Math.min(pause * 1.3, 500)
  }
}
