/** A new token: what for, what it may do, until when. Its secret is shown once. */
import { type FormEvent, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Me, Scope, Token } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, Segmented, TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { offeredScopes, presets, sameScopes, scopeWords } from './scope-words.ts'
import { boundsRequest, noBounds } from './token-bounds.ts'
import { Bounds, Owner } from './token-extras.tsx'
import { bodyOfSpan, offeredSpans } from './token-spans.ts'

interface NewTokenProps {
  me: Me
  onMade: (token: Token) => void
  onClose: () => void
}

export function NewTokenDialog({ me, onMade, onClose }: NewTokenProps) {
  const { api, clock } = useApp()
  const offered = offeredScopes(me.scopes)
  const usable = presets.filter(preset => preset.scopes.every(scope => offered.includes(scope)))
  const [name, setName] = useState('')
  const [scopes, setScopes] = useState<readonly Scope[]>(usable[0]?.scopes ?? [])
  const [spans] = useState(() => offeredSpans(me, clock.now()))
  const [span, setSpan] = useState(spans.find(one => one.key === '2592000')?.key ?? spans[0]?.key ?? '')
  const [bounds, setBounds] = useState(noBounds)
  const [user, setUser] = useState('')
  const [project, setProject] = useState('')
  const [busy, setBusy] = useState(false)
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const groups = [...new Set(offered.map(scope => scopeWords[scope].group))]
  const preset = usable.find(one => sameScopes(one.scopes, scopes))?.key ?? 'own'

  async function submit(event: FormEvent) {
    event.preventDefault()
    if (!name.trim()) return setFaults(new Map([['name', 'Say what it is for: you will want to know when you revoke it.']]))
    if (scopes.length === 0) return setFaults(new Map([['scopes', 'A token without any scope can do nothing.']]))
    const narrowed = boundsRequest(bounds)
    if (narrowed.fault) return setFaults(new Map([['', narrowed.fault]]))
    setBusy(true)
    try {
      const owner = { ...(user.trim() ? { user: user.trim() } : {}), ...(project ? { project } : {}) }
      onMade(await api.createToken({ name: name.trim(), scopes: [...scopes], ...owner, ...narrowed.body, ...bodyOfSpan(span) }))
    } catch (error) {
      setBusy(false)
      setFaults(
        error instanceof ApiError && error.fields.size > 0
          ? error.fields
          : new Map([['', error instanceof Error ? error.message : String(error)]]),
      )
    }
  }
  const other = [...faults].filter(([field]) => !['name', 'scopes', 'user'].includes(field))

  return (
    <Dialog title="New token" onClose={onClose} wide light={false}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <div className="form-pair">
            <TextField
              label="What for"
              value={name}
              onText={text => {
                setName(text)
                setFaults(new Map())
              }}
              error={faults.get('name')}
              placeholder="nightly checkout test"
              maxLength={100}
            />
            <Field label="Expires after">
              {({ id }) => (
                <select id={id} className="select" value={span} onChange={event => setSpan(event.currentTarget.value)}>
                  {spans.map(one => (
                    <option key={one.key} value={one.key}>
                      {one.label}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          </div>
          {usable.length > 0 && (
            <Segmented<string>
              label="Kind of token"
              chosen={preset}
              onChoose={key => setScopes(usable.find(one => one.key === key)?.scopes ?? scopes)}
              choices={[
                ...usable.map(one => ({ key: one.key, label: one.label, title: one.words })),
                { key: 'own', label: 'Own choice' },
              ]}
            />
          )}
          <div className="scopes">
            {groups.map(group => (
              <fieldset key={group}>
                <legend>{group}</legend>
                {offered
                  .filter(scope => scopeWords[scope].group === group)
                  .map(scope => (
                    <label key={scope} className="scope" data-strong={scopeWords[scope].strong}>
                      <input
                        type="checkbox"
                        checked={scopes.includes(scope)}
                        onChange={event => {
                          setScopes(event.currentTarget.checked ? [...scopes, scope] : scopes.filter(one => one !== scope))
                          setFaults(new Map())
                        }}
                      />
                      <span>
                        <code>{scope}</code>
                        <small>{scopeWords[scope].words}</small>
                      </span>
                    </label>
                  ))}
              </fieldset>
            ))}
          </div>
          <Bounds draft={bounds} onDraft={changes => setBounds(current => ({ ...current, ...changes }))} />
          {offered.includes('admin') && (
            <Owner
              me={me}
              user={user}
              onUser={text => {
                setUser(text)
                setFaults(new Map())
              }}
              fault={faults.get('user')}
              project={project}
              onProject={setProject}
            />
          )}
          {faults.get('scopes') && <Notice tone="bad">{faults.get('scopes')}</Notice>}
          {other.length > 0 && (
            <Notice tone="bad">{other.map(([field, words]) => (field ? `${field}: ${words}` : words)).join(' · ')}</Notice>
          )}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            Make the token
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
