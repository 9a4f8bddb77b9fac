/** A look at a repository before it is built: a cluster that builds does the looking, as a job. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Inspection } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { jobWord } from './job-words.ts'
import { type WorksDraft, workRequest } from './works-draft.ts'

export type Found = Pick<Inspection, 'commit' | 'default_branch' | 'branches' | 'dockerfile'>

export interface SourceLook {
  /** What was found, and of which repository. */
  found: (Found & { url: string }) | null
  fault: string
  busy: boolean
  look: () => void
}

/** How often a look that takes longer than its first answer is asked after. */
const againMs = 2_000

export function useSourceLook(draft: WorksDraft): SourceLook {
  const { api } = useApp()
  const [found, setFound] = useState<SourceLook['found']>(null)
  const [fault, setFault] = useState('')
  const [busy, setBusy] = useState(false)
  const turn = useRef(new AbortController())
  useEffect(() => () => turn.current.abort(), [])

  async function look(signal: AbortSignal) {
    const request = workRequest('build', draft, false)
    const missing = request.faults.get('git')
    if (missing) return setFault(missing)
    const body = request.body as { git: { url: string }; dockerfile?: string; cluster?: string }
    const { git, dockerfile, cluster } = body
    setFault('')
    setBusy(true)
    try {
      const asked = { git, ...(dockerfile ? { dockerfile } : {}), ...(cluster ? { cluster } : {}) }
      let seen: Pick<Inspection, 'status' | 'detail'> & Found = await api.inspectSource(asked, signal)
      const { job } = seen as Inspection
      while (seen.status === 'queued' || seen.status === 'running') {
        await pause(againMs, signal)
        const now = await api.job(job, signal)
        if (jobWord(now).live) continue
        seen = { ...nothing, ...(now.result as Partial<Found> | null), status: now.status, detail: now.status_reason }
      }
      if (seen.status === 'succeeded') setFound({ ...seen, url: git.url })
      else setFault(safeLine(seen.detail ?? '') || 'The repository could not be looked at.')
    } catch (error) {
      if (signal.aborted) return
      setFault(messageOf(error))
    }
    setBusy(false)
  }

  return {
    found,
    fault,
    busy,
    look() {
      turn.current.abort()
      turn.current = new AbortController()
      void look(turn.current.signal)
    },
  }
}

const nothing: Found = { commit: null, default_branch: null, branches: [], dockerfile: null }

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
