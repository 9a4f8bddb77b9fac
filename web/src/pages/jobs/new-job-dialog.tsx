/** A new job: what to run, and where. Its page opens with the log. */
import { type FormEvent, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import type { Cluster, Me } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { fetched } from '../../live/entities.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Notice } from '../../parts/states.tsx'
import { emptyRun, type RunDraft, runRequest } from './run-draft.ts'
import { RunFields, runFieldNames } from './run-fields.tsx'

interface NewJobProps {
  me: Me
  clusters: readonly Cluster[]
  onClose: () => void
}

export function NewJobDialog({ clusters, onClose }: NewJobProps) {
  const { api, live, router } = useApp()
  const [draft, setDraft] = useState<RunDraft>(emptyRun)
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)

  async function submit(event: FormEvent) {
    event.preventDefault()
    const { body, faults } = runRequest(draft)
    setFaults(faults)
    setRefusal('')
    if (faults.size > 0 || busy) return
    setBusy(true)
    try {
      const asOf = live.jobs.get().tick
      const job = await api.createJob(body)
      live.jobs.update(state => fetched(state, [job], asOf))
      router.go(`/jobs/${encodeURIComponent(job.id)}`)
    } catch (error) {
      setBusy(false)
      if (!(error instanceof ApiError) || error.fields.size === 0) return setRefusal(messageOf(error))
      const byRoot = new Map([...error.fields].map(([field, words]) => [field.split('.')[0] ?? field, words]))
      setFaults(byRoot)
      setRefusal([...byRoot].flatMap(([field, words]) => (runFieldNames.has(field) ? [] : [`${field}: ${words}`])).join(' · '))
    }
  }

  return (
    <Dialog title="New job" onClose={onClose} wide light={false}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <RunFields
            draft={draft}
            set={changes => {
              setDraft(current => ({ ...current, ...changes }))
              setFaults(new Map())
              setRefusal('')
            }}
            faults={faults}
            clusters={clusters}
          />
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Run
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
