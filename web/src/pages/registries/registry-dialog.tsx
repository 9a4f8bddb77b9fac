import { useState } from 'react'
import type { Registry } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Switch, TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { useSubmit } from '../../parts/use-submit.ts'

interface RegistryDialogProps {
  /** Whose login is replaced; null: a new one. */
  registry: Registry | null
  /** Those that have a login: another one would replace it. */
  hosts: readonly string[]
  onSaved: (registry: Registry) => void
  onClose: () => void
}

export function RegistryDialog({ registry, hosts, onSaved, onClose }: RegistryDialogProps) {
  const { api } = useApp()
  const [host, setHost] = useState(registry?.host ?? '')
  const [username, setUsername] = useState(registry?.username ?? '')
  const [password, setPassword] = useState('')
  const [insecure, setInsecure] = useState(registry?.insecure ?? false)
  const { faults, refusal, busy, onSubmit, forget } = useSubmit({
    known: ['host', 'username', 'password'],
    check() {
      const found = new Map<string, string>()
      if (!host.trim()) found.set('host', 'Say which registry.')
      if (!username.trim()) found.set('username', 'Say who logs in.')
      if (!password) found.set('password', 'Give the password, or a token that stands for it.')
      return found
    },
    async send() {
      onSaved(await api.putRegistry({ host: hostOf(host), username: username.trim(), password, insecure }))
    },
  })
  const heard = (set: (text: string) => void) => (text: string) => {
    set(text)
    forget()
  }
  const replaces = !registry && hosts.includes(hostOf(host))
  return (
    <Dialog title={registry ? `Login of ${safeLine(registry.host)}` : 'Add a login'} onClose={onClose} light={false}>
      <form onSubmit={onSubmit} noValidate>
        <div className="dialog-body form">
          {!registry && (
            <TextField
              label="Registry"
              value={host}
              onText={heard(setHost)}
              error={faults.get('host')}
              placeholder="registry.example.com"
              className="mono"
              inputMode="url"
              autoCapitalize="off"
              spellCheck={false}
              hint={
                replaces ? 'There is a login for it: this one replaces it.' : 'Its host, with a port if it has one of its own.'
              }
            />
          )}
          <TextField
            label="User name"
            value={username}
            onText={heard(setUsername)}
            error={faults.get('username')}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
          />
          <TextField
            label="Password or token"
            type="password"
            value={password}
            onText={heard(setPassword)}
            error={faults.get('password')}
            autoComplete="new-password"
            hint="Kept encrypted. Builds get it; nobody is ever shown it again."
          />
          <Switch
            label="Without TLS"
            hint="For a registry inside the cluster’s own network only."
            on={insecure}
            onSwitch={setInsecure}
          />
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Keep and try it
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}

/** People paste whole addresses: `https://Registry.example.com/team` names the host `registry.example.com`. */
export function hostOf(typed: string): string {
  return typed
    .trim()
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/\/.*$/, '')
    .toLowerCase()
}
