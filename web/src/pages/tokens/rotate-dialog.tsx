import { useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Token } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'

/** A new secret with the same scopes; the old one may go on for a while, so that programs can be moved over. */
export function RotateDialog({ token, onMade, onClose }: { token: Token; onMade: (token: Token) => void; onClose: () => void }) {
  const { api } = useApp()
  const [grace, setGrace] = useState('3600')
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState('')
  async function rotate() {
    setBusy(true)
    try {
      onMade(await api.rotateToken(token.id, Number(grace)))
    } catch (error) {
      setBusy(false)
      setFault(messageOf(error))
    }
  }
  return (
    <Dialog title={`Rotate “${token.name}”?`} onClose={onClose}>
      <div className="dialog-body form">
        <p>You get a new secret with the same scopes.</p>
        <Field label="The old one goes on working for">
          {({ id }) => (
            <select id={id} className="select" value={grace} onChange={event => setGrace(event.currentTarget.value)}>
              <option value="0">no time: it ends now</option>
              <option value="3600">1 hour</option>
              <option value="86400">1 day</option>
              <option value="604800">7 days</option>
            </select>
          )}
        </Field>
        {fault && <Notice tone="bad">{fault}</Notice>}
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" busy={busy} onClick={() => void rotate()}>
          Rotate
        </Button>
      </footer>
    </Dialog>
  )
}
