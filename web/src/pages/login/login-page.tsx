/** Sign in with a token. The token goes once to the API, which answers with an HttpOnly cookie; the page keeps nothing. */
import '../../styles/login.css'
import { type FormEvent, useRef, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import { useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { TextField } from '../../parts/form.tsx'
import { PortholeArt } from '../../parts/porthole-art.tsx'

export function LoginPage({ ended, onSignedIn }: { ended: boolean; onSignedIn: () => Promise<void> }) {
  const { api } = useApp()
  const [secret, setSecret] = useState('')
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState<string | undefined>()
  const form = useRef<HTMLFormElement>(null)

  async function submit(event: FormEvent) {
    event.preventDefault()
    const token = secret.trim()
    if (!token) {
      setFault('Paste a token first.')
      form.current?.querySelector('input')?.focus()
      return
    }
    setBusy(true)
    setFault(undefined)
    try {
      await api.login(token)
      await onSignedIn()
    } catch (error) {
      setFault(faultWords(error, token))
      setBusy(false)
      form.current?.querySelector('input')?.select()
    }
  }

  return (
    <div className="login">
      <div className="login-scene">
        <PortholeArt />
      </div>
      <main className="login-panel">
        <h1>Porthole</h1>
        <p className="login-lead">Browsers and desktops in your own clusters, live in this window.</p>
        {ended && !fault && <p className="login-ended">Your sign-in has ended. Sign in again to go on.</p>}
        <form ref={form} onSubmit={submit} noValidate>
          <TextField
            label="Token"
            type="password"
            className="mono"
            value={secret}
            onText={text => {
              setSecret(text)
              setFault(undefined)
            }}
            error={fault}
            placeholder="vnc-sk-…"
            autoComplete="current-password"
            autoCapitalize="off"
            spellCheck={false}
            autoFocus
            hint="It is swapped for a cookie and not kept in this browser."
          />
          <Button type="submit" kind="primary" busy={busy}>
            Sign in
          </Button>
        </form>
        <p className="login-help">
          First time on this machine? <code>npm start</code> prints a line that begins with <code>Token</code>.
        </p>
      </main>
    </div>
  )
}

function faultWords(error: unknown, token: string): string {
  if (!(error instanceof ApiError)) return messageOf(error)
  if (error.status === 429) return `Too many tries. Wait ${error.retryAfter ?? 'a few'} seconds.`
  if (error.status !== 401 && error.status !== 422 && error.status !== 400) return error.message
  if (!token.startsWith('vnc-sk-')) return 'This is not a Porthole token: those begin with vnc-sk-.'
  return 'This token is not valid: mistyped, expired or revoked.'
}
