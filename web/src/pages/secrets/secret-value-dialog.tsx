import { useState } from 'react'
import type { Secret } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, Switch, TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { useSubmit } from '../../parts/use-submit.ts'

interface SecretValueProps {
  /** Which gets another value; null: a new one. */
  secret: Secret | null
  names: readonly string[]
  onSaved: () => void
  onClose: () => void
}

export function SecretValueDialog({ secret, names, onSaved, onClose }: SecretValueProps) {
  const { api, toasts } = useApp()
  const [name, setName] = useState(secret?.name ?? '')
  const [value, setValue] = useState('')
  const [seen, setSeen] = useState(false)
  const { faults, refusal, busy, onSubmit, forget } = useSubmit({
    known: ['name', 'value'],
    check() {
      const found = new Map<string, string>()
      if (!name.trim()) found.set('name', 'Give it a name: jobs ask for it by that.')
      if (!value) found.set('value', 'Paste the value.')
      return found
    },
    async send() {
      const kept = await api.putSecret({ name: name.trim(), value })
      toasts.say(`${safeLine(kept.name)} is kept. Jobs that start from now on get it.`)
      onSaved()
    },
  })
  const replaces = !secret && names.includes(name.trim())
  return (
    <Dialog title={secret ? `Another value for ${safeLine(secret.name)}` : 'New secret'} onClose={onClose} light={false}>
      <form onSubmit={onSubmit} noValidate autoComplete="off">
        <div className="dialog-body form">
          {!secret && (
            <TextField
              label="Name"
              value={name}
              onText={text => {
                setName(text)
                forget()
              }}
              error={faults.get('name')}
              placeholder="npm-token"
              className="mono"
              maxLength={63}
              autoCapitalize="off"
              spellCheck={false}
              hint={replaces ? 'There is one of this name: its value is replaced.' : 'Letters, digits, dot, dash and underscore.'}
            />
          )}
          <Field label="Value" error={faults.get('value')} hint="Kept encrypted, up to 64 KiB. It may have several lines.">
            {({ id, describedBy, invalid }) => (
              <textarea
                id={id}
                className="input mono"
                data-masked={!seen || undefined}
                rows={4}
                value={value}
                aria-describedby={describedBy}
                aria-invalid={invalid || undefined}
                spellCheck={false}
                autoCapitalize="off"
                autoComplete="off"
                onChange={event => {
                  setValue(event.currentTarget.value)
                  forget()
                }}
              />
            )}
          </Field>
          <Switch label="Show what I type" on={seen} onSwitch={setSeen} />
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Keep it
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
