/** What every small form does: faults at the fields that have a place for them, everything else as one refusal, one press at a time. */
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { ApiError, messageOf } from '../api/api-error.ts'

export interface Submit {
  /** By field. */
  faults: ReadonlyMap<string, string>
  refusal: string
  busy: boolean
  /** For the form's `onSubmit`. */
  onSubmit: (event: FormEvent) => void
  /** Something was changed: what was said of it is no longer true. */
  forget: () => void
}

interface SubmitParts {
  /** Fields of the API (by their first step) that the form shows. */
  known: readonly string[]
  /** What can be said without asking the API. */
  check?: () => ReadonlyMap<string, string>
  send: (signal: AbortSignal) => Promise<void>
}

export function useSubmit({ known, check, send }: SubmitParts): Submit {
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  const shown = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    shown.current = controller
    return () => controller.abort()
  }, [])

  async function submit() {
    const found = check?.() ?? new Map()
    setFaults(found)
    setRefusal('')
    if (found.size > 0 || busy) return
    const { signal } = shown.current
    setBusy(true)
    try {
      await send(signal)
    } catch (error) {
      if (signal.aborted) return
      const told = sortFaults(error, known)
      setFaults(told.faults)
      setRefusal(told.refusal)
    }
    if (!signal.aborted) setBusy(false)
  }

  return {
    faults,
    refusal,
    busy,
    onSubmit(event) {
      event.preventDefault()
      void submit()
    },
    forget() {
      if (faults.size > 0) setFaults(new Map())
      if (refusal) setRefusal('')
    },
  }
}

/** Exported for its test: deeper faults stand at the field they are part of. */
export function sortFaults(error: unknown, known: readonly string[]): { faults: Map<string, string>; refusal: string } {
  const faults = new Map<string, string>()
  if (!(error instanceof ApiError) || error.fields.size === 0) return { faults, refusal: messageOf(error) }
  const rest: string[] = []
  for (const [field, words] of error.fields) {
    const steps = field.split('.')
    const at = steps.map((_, index) => steps.slice(0, steps.length - index).join('.')).find(one => known.includes(one))
    if (at === undefined) rest.push(field ? `${field}: ${words}` : words)
    else {
      const inner = field.slice(at.length + 1)
      faults.set(at, [faults.get(at), inner ? `${inner}: ${words}` : words].filter(Boolean).join(' · '))
    }
  }
  return { faults, refusal: rest.join(' · ') }
}
