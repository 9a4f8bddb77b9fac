/** Into a job: its terminal that is open, or a new one, on a page of its own (the log has this one). */
import { useState } from 'react'
import type { Job } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { useSubmit } from '../../parts/use-submit.ts'

/** What runs by itself only while it runs; what was applied or rolled out lives on. */
export function mayStepInside(job: Pick<Job, 'type' | 'status'>): boolean {
  if (job.type === 'run' || job.type === 'build') return job.status === 'running'
  return job.status === 'running' || job.status === 'succeeded'
}

export function JobShell({ job }: { job: Job }) {
  const { api, router, toasts } = useApp()
  const [busy, setBusy] = useState(false)
  const [asking, setAsking] = useState(false)
  // Those may have made many pods: which of them is meant, only a person knows.
  const many = job.type === 'manifest' || job.type === 'deploy'

  async function enter(where: { pod?: string; container?: string }) {
    const [living] = Object.keys(where).length > 0 ? [] : (await api.terminals({ job: job.id })).data
    const terminal = living ?? (await api.createTerminal({ job: job.id, ...where }))
    router.go(`/terminals/${encodeURIComponent(terminal.id)}`)
  }
  async function press() {
    if (many) return setAsking(true)
    setBusy(true)
    try {
      await enter({})
    } catch (error) {
      toasts.failed('No terminal', error)
      setBusy(false)
    }
  }
  return (
    <>
      <Button size="small" icon="terminal" className="job-shell" busy={busy} onClick={() => void press()}>
        <span>Terminal</span>
      </Button>
      {asking && <WhichPod onEnter={enter} onClose={() => setAsking(false)} />}
    </>
  )
}

interface WhichPodProps {
  onEnter: (where: { pod?: string; container?: string }) => Promise<void>
  onClose: () => void
}

function WhichPod({ onEnter, onClose }: WhichPodProps) {
  const [pod, setPod] = useState('')
  const [container, setContainer] = useState('')
  const { faults, refusal, busy, onSubmit, forget } = useSubmit({
    known: ['pod', 'container'],
    send: () =>
      onEnter({
        ...(pod.trim() ? { pod: pod.trim() } : {}),
        ...(container.trim() ? { container: container.trim() } : {}),
      }),
  })
  const heard = (set: (text: string) => void) => (text: string) => {
    set(text)
    forget()
  }
  const plain = { className: 'mono', autoCapitalize: 'off', spellCheck: false } as const
  return (
    <Dialog title="Step into a pod" onClose={onClose}>
      <form onSubmit={onSubmit} noValidate>
        <div className="dialog-body form">
          <TextField
            {...plain}
            label="Pod"
            optional
            value={pod}
            onText={heard(setPod)}
            error={faults.get('pod')}
            placeholder="the only one there is"
            hint="Of several, name one."
          />
          <TextField
            {...plain}
            label="Container"
            optional
            value={container}
            onText={heard(setContainer)}
            error={faults.get('container')}
            placeholder="where its program runs"
          />
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Open a terminal
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
