/** The files of a volume on their way out or in, as tar.gz, with a way to stop it. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Volume } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { bytes } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { streamOf } from '../../live/event-stream.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field } from '../../parts/form.tsx'
import { saveFile } from '../../parts/save-file.ts'
import { Notice } from '../../parts/states.tsx'

interface ArchiveProps {
  volume: Volume
  way: 'download' | 'upload'
  onClose: () => void
}

export function ArchiveDialog({ volume, way, onClose }: ArchiveProps) {
  const { api, toasts } = useApp()
  const name = safeLine(volume.name)
  const [file, setFile] = useState<File | null>(null)
  const [moved, setMoved] = useState<number | null>(null)
  const [fault, setFault] = useState('')
  const stop = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    stop.current = controller
    return () => controller.abort()
  }, [])

  async function run(work: (signal: AbortSignal) => Promise<void>) {
    const { signal } = stop.current
    setFault('')
    setMoved(0)
    try {
      await work(signal)
      if (!signal.aborted) onClose()
    } catch (error) {
      if (signal.aborted) return
      setFault(messageOf(error))
      setMoved(null)
    }
  }
  const download = () =>
    run(async signal => {
      const response = await api.downloadVolume(volume.id, signal)
      const parts: BlobPart[] = []
      let got = 0
      if (response.body) {
        for await (const chunk of streamOf(response.body, signal)) {
          parts.push(chunk as Uint8Array<ArrayBuffer>)
          got += chunk.length
          setMoved(got)
        }
      }
      if (signal.aborted) return
      saveFile(new Blob(parts, { type: 'application/gzip' }), `${volume.name.replace(/[^\w.-]+/g, '-')}.tar.gz`)
    })
  const upload = (archive: File) =>
    run(async signal => {
      await api.uploadVolume(volume.id, archive, signal)
      toasts.say(`${name} now holds the files of ${archive.name}.`)
    })
  const busy = moved !== null

  return (
    <Dialog title={way === 'download' ? `Download ${name}` : `Replace the files of ${name}`} onClose={onClose} light={!busy}>
      <div className="dialog-body form">
        {way === 'download' ? (
          <p>
            All of its files as one tar.gz, straight from the cluster. A session that writes meanwhile may leave single files half
            written.
          </p>
        ) : (
          <>
            <Notice tone="warn">What it holds now is deleted and replaced by what the archive holds.</Notice>
            <Field label="Archive, tar.gz">
              {({ id }) => (
                <input
                  id={id}
                  type="file"
                  className="input file"
                  accept=".tgz,.tar.gz,application/gzip"
                  disabled={busy}
                  onChange={event => setFile(event.currentTarget.files?.[0] ?? null)}
                />
              )}
            </Field>
          </>
        )}
        {busy && (
          <p role="status" className="field-note">
            {way === 'download' ? `${bytes(moved)} so far…` : `Sending ${bytes(file?.size)}…`}
          </p>
        )}
        {fault && <Notice tone="bad">{fault}</Notice>}
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>{busy ? 'Stop' : 'Cancel'}</Button>
        {way === 'download' ? (
          <Button kind="primary" icon="download" busy={busy} onClick={() => void download()}>
            Download
          </Button>
        ) : (
          <Button kind="danger" icon="upload" busy={busy} disabled={!file} onClick={() => file && void upload(file)}>
            Replace
          </Button>
        )}
      </footer>
    </Dialog>
  )
}
