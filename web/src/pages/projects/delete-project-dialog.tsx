import { useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Project } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'

/** Takes everything of the project with it, so its name is asked for. */
export function DeleteProjectDialog({
  project,
  onDeleted,
  onClose,
}: {
  project: Project
  onDeleted: () => void
  onClose: () => void
}) {
  const { api, toasts } = useApp()
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState('')
  const name = safeLine(project.name)
  const living = project.usage.sessions
  async function remove() {
    setBusy(true)
    setFault('')
    try {
      await api.deleteProject(project.id, living > 0)
      toasts.say(`${name} was deleted.`)
      onDeleted()
    } catch (error) {
      setBusy(false)
      setFault(messageOf(error))
    }
  }
  return (
    <Dialog title={`Delete ${name}?`} onClose={onClose} light={false}>
      <div className="dialog-body form">
        <p>
          Its tokens stop working at once, and its sessions, volumes and records go with it.
          {living > 0 && ` ${count(living, 'session')} of it ${living === 1 ? 'lives' : 'live'} now and will be ended.`}
        </p>
        <TextField
          label={`To be sure, write its name: ${name}`}
          value={typed}
          onText={setTyped}
          autoCapitalize="off"
          spellCheck={false}
        />
        {fault && <Notice tone="bad">{fault}</Notice>}
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="danger" busy={busy} disabled={typed.trim() !== name} onClick={() => void remove()}>
          Delete for good
        </Button>
      </footer>
    </Dialog>
  )
}
