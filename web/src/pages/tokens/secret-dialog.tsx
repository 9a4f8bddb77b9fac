import type { Token } from '../../api/contract.ts'
import { Button } from '../../parts/button.tsx'
import { CopyField } from '../../parts/copy.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Notice } from '../../parts/states.tsx'

/** The one time a secret is seen. A press beside it does not close it. */
export function SecretDialog({ token, onClose }: { token: Token; onClose: () => void }) {
  return (
    <Dialog title="Copy it now" onClose={onClose} wide light={false}>
      <div className="dialog-body form">
        <Notice tone="warn">This is the only time the token of “{token.name}” is shown. Only its hash is stored.</Notice>
        <CopyField label="Token" value={token.token ?? ''} secret />
      </div>
      <footer className="dialog-foot">
        <Button kind="primary" onClick={onClose}>
          I have it
        </Button>
      </footer>
    </Dialog>
  )
}
