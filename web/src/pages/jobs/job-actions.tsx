/** Cancel, retry, delete: asked for where something would be lost, shown at once, taken back with a word when refused. */
import { type ReactNode, useState } from 'react'
import type { Job } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { fetched, gone } from '../../live/entities.ts'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import type { MenuItem } from '../../parts/menu.tsx'
import { type JobAction, jobTitle, jobWord } from './job-words.ts'

export const actionWords: Record<JobAction, Omit<MenuItem, 'onPick'>> = {
  cancel: { label: 'Cancel', icon: 'stop' },
  retry: { label: 'Run it again', icon: 'restart' },
  delete: { label: 'Delete', icon: 'end', danger: true },
}

export function useJobActions(onDeleted?: () => void): { ask: (action: JobAction, job: Job) => void; dialog: ReactNode } {
  const { api, live, toasts } = useApp()
  const [asking, setAsking] = useState<{ action: 'delete' | 'repeat'; job: Job } | null>(null)

  async function change(call: () => Promise<Job>, said: string, failed: string) {
    const asOf = live.jobs.get().tick
    try {
      const answer = await call()
      live.jobs.update(state => fetched(state, [answer], asOf))
      toasts.say(said)
    } catch (error) {
      toasts.failed(failed, error)
    }
  }
  const cancel = (job: Job) => change(() => api.cancelJob(job.id), `${jobTitle(job)} is ending.`, 'Not canceled')
  const retry = (job: Job, force: boolean) =>
    change(() => api.retryJob(job.id, force), `${jobTitle(job)} is queued again.`, 'Not run again')

  async function remove(job: Job) {
    try {
      await api.deleteJob(job.id)
      live.jobs.update(state => gone(state, job.id))
      toasts.say(`${jobTitle(job)} was deleted.`)
      onDeleted?.()
    } catch (error) {
      toasts.failed('Not deleted', error)
    }
  }

  return {
    ask(action, job) {
      if (action === 'cancel') void cancel(job)
      else if (action === 'delete') setAsking({ action, job })
      else if (job.status === 'succeeded') setAsking({ action: 'repeat', job })
      else void retry(job, false)
    },
    dialog:
      asking?.action === 'delete' ? (
        <ConfirmDialog
          title={`Delete ${jobTitle(asking.job)}?`}
          verb="Delete"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.job)}
        >
          <p>
            {jobWord(asking.job).live && 'It is ended. '}
            Its log goes with it{asking.job.type === 'manifest' ? ', and what it applied is removed from the cluster' : ''}.
          </p>
        </ConfirmDialog>
      ) : asking ? (
        <ConfirmDialog
          title={`Run ${jobTitle(asking.job)} again?`}
          verb="Run it again"
          danger={false}
          onClose={() => setAsking(null)}
          onConfirm={() => retry(asking.job, true)}
        >
          <p>It has succeeded: what it did is done once more.</p>
        </ConfirmDialog>
      ) : null,
  }
}
