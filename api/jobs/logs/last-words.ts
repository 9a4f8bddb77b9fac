/** The end of what a job wrote, as one sentence: programs say there what they died of. */
import type { Db } from '#db/client.ts'
import { readLog } from './follow.ts'
import { streamsOf, tailOffset } from './read.ts'

const lines = 3
const longest = 400

/** Why it ended, with its last words when it failed by itself. */
export async function endInWords(
  db: Db,
  job: { id: string; attempt: number; status: string; status_reason: string | null; result: Record<string, unknown> | null },
  signal: AbortSignal,
): Promise<string | null> {
  // A fault that the agent made out is in the reason already.
  const words = job.status === 'failed' && !job.result?.fault ? await lastWords(db, job, signal) : ''
  return words === '' ? job.status_reason : `${job.status_reason ?? 'It failed.'} ${words}`
}

async function lastWords(db: Db, { id, attempt }: { id: string; attempt: number }, signal: AbortSignal): Promise<string> {
  const from = new Map<string, number>()
  for (const stream of await streamsOf(db, id, attempt, {}))
    from.set(stream, await tailOffset(db, { job_id: id, attempt, stream }, lines))
  let text = ''
  for await (const event of readLog({ db, wish: { job: id, attempt, follow: false }, raw: false, from, signal }))
    if (event.kind === 'text') text = (text + event.text).slice(-8 * longest)
  const plain = text
    .replaceAll(/\u001b\[[\d;]*m/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return plain.length > longest ? `…${plain.slice(-longest)}` : plain
}
