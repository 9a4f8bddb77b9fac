/** A new job: what to do, and where. What changes a cluster is looked at first: its differences are shown before it is applied. */
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import type { Cluster, Job, JobCreate, Me } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { fetched } from '../../live/entities.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { ChangesView } from './changes-view.tsx'
import { jobLine, jobWord } from './job-words.ts'
import { emptyRun, type RunDraft, runRequest } from './run-draft.ts'
import { RunFields, runFieldNames } from './run-fields.tsx'
import { changesOf, emptyWorks, type WorksDraft, type WorkType, workRequest } from './works-draft.ts'
import { WorksFields, workFieldNames } from './works-fields.tsx'

type Type = 'run' | WorkType

interface NewJobProps {
  me: Me
  clusters: readonly Cluster[]
  onClose: () => void
}

/** How long one answer may take to look; then it is asked again. */
const lookSeconds = 20

export function NewJobDialog({ me, clusters, onClose }: NewJobProps) {
  const { api, live, router } = useApp()
  const [type, setType] = useState<Type>('run')
  const [run, setRun] = useState<RunDraft>(emptyRun)
  const [works, setWorks] = useState<WorksDraft>(emptyWorks)
  const [looked, setLooked] = useState<Job | null>(null)
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  const closed = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    closed.current = controller
    return () => controller.abort()
  }, [])
  const mayManifest = allows(me, 'manifests')
  const types: readonly { key: Type; label: string }[] = [
    { key: 'run', label: 'Run' },
    ...(mayManifest ? [{ key: 'manifest' as const, label: 'Manifest' }] : []),
    { key: 'deploy', label: 'Deploy' },
    { key: 'build', label: 'Build' },
  ]
  const looksFirst = type === 'manifest' || type === 'deploy'
  const known = type === 'run' ? runFieldNames : workFieldNames
  const anew = () => {
    setFaults(new Map())
    setRefusal('')
    setLooked(null)
  }

  async function submit(event: FormEvent) {
    event.preventDefault()
    const dry = looksFirst && looked?.status !== 'succeeded'
    const request = type === 'run' ? runRequest(run) : workRequest(type, works, dry)
    setFaults(request.faults)
    setRefusal('')
    if (request.faults.size > 0 || busy) return
    setBusy(true)
    try {
      if (dry) await look(request.body)
      else await start(request.body)
    } catch (error) {
      if (!closed.current.signal.aborted) showFault(error)
    }
    if (!closed.current.signal.aborted) setBusy(false)
  }

  async function start(body: JobCreate) {
    const asOf = live.jobs.get().tick
    const job = await api.createJob(body)
    live.jobs.update(state => fetched(state, [job], asOf))
    router.go(`/jobs/${encodeURIComponent(job.id)}`)
  }

  /** The run that only looks has no page of its own to go to: it is waited for here, and forgotten. */
  async function look(body: JobCreate) {
    const { signal } = closed.current
    let job: Job = await api.createJob(body, lookSeconds)
    while (jobWord(job).live && !signal.aborted) {
      setLooked(job)
      await new Promise(resolve => setTimeout(resolve, 1_500))
      job = await api.job(job.id, signal)
    }
    if (!signal.aborted) setLooked(job)
  }

  function showFault(error: unknown) {
    if (!(error instanceof ApiError) || error.fields.size === 0) return setRefusal(messageOf(error))
    const byRoot = new Map<string, string>()
    for (const [field, words] of error.fields) {
      const root = field.split('.')[0] ?? field
      const place = field === root ? words : `${field.slice(root.length + 1)}: ${words}`
      byRoot.set(root, [byRoot.get(root), place].filter(Boolean).join(' · '))
    }
    setFaults(byRoot)
    setRefusal([...byRoot].flatMap(([field, words]) => (known.has(field) ? [] : [`${field}: ${words}`])).join(' · '))
  }

  const ready = looked?.status === 'succeeded'
  const verb = type === 'run' ? 'Run' : type === 'build' ? 'Build' : ready ? 'Apply this' : 'Show what would change'
  return (
    <Dialog title="New job" onClose={onClose} wide light={false}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <Segmented<Type>
            label="Kind of job"
            chosen={type}
            onChoose={key => {
              setType(key)
              anew()
            }}
            choices={types}
          />
          {type === 'run' ? (
            <RunFields
              draft={run}
              set={changes => {
                setRun(current => ({ ...current, ...changes }))
                anew()
              }}
              faults={faults}
              clusters={clusters}
            />
          ) : (
            <WorksFields
              type={type}
              draft={works}
              set={changes => {
                setWorks(current => ({ ...current, ...changes }))
                anew()
              }}
              faults={faults}
              clusters={clusters}
            />
          )}
          {looked && <Looked job={looked} />}
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            {verb}
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}

function Looked({ job }: { job: Job }) {
  if (jobWord(job).live) return <Notice>{jobLine(job) || 'Looking…'}</Notice>
  if (job.status !== 'succeeded') return <Notice tone="bad">{jobLine(job) || 'It could not be looked at.'}</Notice>
  return (
    <section aria-label="What would change">
      <ChangesView changes={changesOf(job.result)} />
    </section>
  )
}
