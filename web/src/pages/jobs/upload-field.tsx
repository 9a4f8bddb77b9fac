/** Files to build from: sent as soon as they are chosen, so that the job that builds them can be made at once. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import { useApp } from '../../app-context.tsx'
import { bytes } from '../../format/quantity.ts'
import { Field } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'

interface UploadFieldProps {
  /** Id of what was sent; empty: nothing yet. */
  sent: string
  onSent: (upload: string) => void
  error?: string | undefined
}

export function UploadField({ sent, onSent, error }: UploadFieldProps) {
  const { api } = useApp()
  const [file, setFile] = useState<File | null>(null)
  const [fault, setFault] = useState('')
  const turn = useRef(new AbortController())
  useEffect(() => () => turn.current.abort(), [])

  async function send(chosen: File | null) {
    turn.current.abort()
    const { signal } = (turn.current = new AbortController())
    setFile(chosen)
    setFault('')
    onSent('')
    if (!chosen) return
    try {
      const upload = await api.sendUpload(uploadName(chosen.name), chosen, signal)
      if (!signal.aborted) onSent(upload.id)
    } catch (cause) {
      if (!signal.aborted) setFault(messageOf(cause))
    }
  }

  return (
    <>
      <Field label="A folder with a Dockerfile, as tar.gz" error={error}>
        {({ id }) => (
          <input
            id={id}
            type="file"
            className="input file"
            accept=".tgz,.tar.gz,application/gzip"
            onChange={event => void send(event.currentTarget.files?.[0] ?? null)}
          />
        )}
      </Field>
      <div className="source-said" role="status">
        {fault && <Notice tone="bad">{fault}</Notice>}
        {file && !fault && (
          <Notice tone={sent ? 'good' : 'quiet'}>{`${sent ? 'Sent' : 'Sending'} ${bytes(file.size)}${sent ? '' : '…'}`}</Notice>
        )}
      </div>
    </>
  )
}

/** One of each file's name is kept: sending it again replaces it. */
export function uploadName(file: string): string {
  const name = file
    .toLowerCase()
    .replace(/\.(tgz|tar\.gz)$/, '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .slice(0, 63)
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
  return name || 'files'
}
