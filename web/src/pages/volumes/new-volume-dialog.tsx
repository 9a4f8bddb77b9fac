import { type FormEvent, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import type { Cluster } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { amountOf } from '../../format/quantity.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'

interface NewVolumeProps {
  clusters: readonly Cluster[]
  onMade: () => void
  onClose: () => void
}

export function NewVolumeDialog({ clusters, onMade, onClose }: NewVolumeProps) {
  const { api, toasts } = useApp()
  const [name, setName] = useState('')
  const [size, setSize] = useState('')
  const [cluster, setCluster] = useState('')
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)

  async function submit(event: FormEvent) {
    event.preventDefault()
    const found = new Map<string, string>()
    if (!name.trim()) found.set('name', 'Give it a name.')
    if (size.trim() && amountOf(size.trim()) === null) found.set('size', 'A number with a unit, as 5Gi.')
    setFaults(found)
    setRefusal('')
    if (found.size > 0 || busy) return
    setBusy(true)
    try {
      const made = await api.createVolume({
        name: name.trim(),
        ...(size.trim() ? { size: size.trim() } : {}),
        ...(cluster ? { cluster } : {}),
      })
      toasts.say(`${made.name} is there. Choose it when you start a session.`)
      onMade()
    } catch (error) {
      setBusy(false)
      if (error instanceof ApiError && [...error.fields.keys()].every(field => ['name', 'size', 'cluster'].includes(field)))
        setFaults(error.fields)
      if (!(error instanceof ApiError) || error.fields.size === 0) setRefusal(messageOf(error))
    }
  }

  return (
    <Dialog title="New volume" onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <TextField
            label="Name"
            value={name}
            onText={setName}
            error={faults.get('name')}
            maxLength={63}
            placeholder="grace-home"
            hint="The same name gives the same volume."
          />
          <TextField
            label="Size"
            optional
            value={size}
            onText={setSize}
            error={faults.get('size')}
            placeholder="5Gi"
            className="mono"
            hint="A limit, where the cluster can keep it."
          />
          <Field label="Cluster" error={faults.get('cluster')} hint="It stays where it is first used.">
            {({ id, describedBy }) => (
              <select
                id={id}
                className="select"
                aria-describedby={describedBy}
                value={cluster}
                onChange={event => setCluster(event.currentTarget.value)}
              >
                <option value="">Where its first session runs</option>
                {clusters.map(one => (
                  <option key={one.id} value={one.id}>
                    {one.name}
                  </option>
                ))}
              </select>
            )}
          </Field>
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Make it
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
