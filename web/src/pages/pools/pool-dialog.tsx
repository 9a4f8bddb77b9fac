/** A new pool, or other sizes for one that is there. What a pool is made of cannot be changed under it. */
import { useState } from 'react'
import type { Cluster, Pool } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Switch, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice } from '../../parts/states.tsx'
import { useSubmit } from '../../parts/use-submit.ts'
import { useTemplates } from '../sessions/catalogue.ts'
import { ChoiceField } from '../sessions/session-fields.tsx'
import { draftOf, emptyPool, type PoolDraft, poolRequest } from './pool-words.ts'

interface PoolDialogProps {
  /** Null: a new one. */
  pool: Pool | null
  clusters: readonly Cluster[]
  onSaved: () => void
  onClose: () => void
}

const known = ['template', 'cluster', 'size', 'idle_size', 'idle_after_seconds', 'max_age_seconds', 'overrides']

export function PoolDialog({ pool, clusters, onSaved, onClose }: PoolDialogProps) {
  const { api, toasts } = useApp()
  const templates = useTemplates()
  const able = clusters.filter(one => one.capabilities?.features.includes('warm'))
  const [typed, setDraft] = useState<PoolDraft>(pool ? draftOf(pool) : emptyPool)
  const draft = { ...typed, cluster: typed.cluster || (able.find(one => one.status === 'online') ?? able[0])?.id || '' }
  const { faults, refusal, busy, onSubmit, forget } = useSubmit({
    known,
    check: () => poolRequest(draft).faults,
    async send() {
      const { body, sizes } = poolRequest(draft)
      if (pool) await api.changePool(pool.id, sizes)
      else await api.createPool(body)
      toasts.say(pool ? 'The pool has its new sizes.' : 'The pool fills by and by, one session at a time.')
      onSaved()
    },
  })
  const set = (changes: Partial<PoolDraft>) => {
    setDraft(current => ({ ...current, ...changes }))
    forget()
  }
  const number = (key: 'size' | 'idleSize' | 'idleAfter' | 'maxAge', field: string, label: string, hint: string) => (
    <TextField
      label={label}
      value={draft[key]}
      onText={text => set({ [key]: text })}
      error={faults.get(field)}
      inputMode="decimal"
      hint={hint}
    />
  )
  return (
    <Dialog title={pool ? `Pool of ${safeLine(pool.template)}` : 'New pool'} onClose={onClose} wide light={false}>
      <form onSubmit={onSubmit} noValidate>
        <div className="dialog-body form">
          {!pool && (
            <div className="form-pair">
              <ChoiceField
                label="Template"
                value={draft.template}
                onChange={template => set({ template })}
                fault={faults.get('template')}
                options={[
                  ['', templates.phase === 'loading' ? 'Loading…' : 'Choose one'],
                  ...templates.value.map(one => [one.id, one.name] as const),
                ]}
              />
              <ChoiceField
                label="Cluster"
                value={draft.cluster}
                onChange={cluster => set({ cluster })}
                fault={faults.get('cluster')}
                options={able.length === 0 ? [['', 'None can keep sessions warm']] : able.map(one => [one.id, one.name] as const)}
              />
            </div>
          )}
          <div className="form-pair">
            {number('size', 'size', 'Kept ready', 'While they are asked for. Each holds a place of its cluster.')}
            {number('idleSize', 'idle_size', 'When nobody asks', 'The pool shrinks to this by itself.')}
          </div>
          <div className="form-pair">
            {number('idleAfter', 'idle_after_seconds', 'Nobody asks, after minutes', 'Since the last create that fitted.')}
            {number('maxAge', 'max_age_seconds', 'Replaced after minutes', 'So that nobody gets a browser that waited for days.')}
          </div>
          {!pool && (
            <details className="more" open={faults.has('overrides') || undefined}>
              <summary>
                <Icon name="next" size={16} /> Over the template
              </summary>
              <div className="form">
                <p className="field-note">
                  A create finds one of these only when it asks for the same. Screen size, variables, labels and the first page do
                  not matter: they are given to the session when it is taken.
                </p>
                <Switch
                  label="Headless"
                  hint="No screen, for scripts alone."
                  on={draft.headless}
                  onSwitch={headless => set({ headless })}
                />
                <div className="form-pair">
                  <TextField
                    label="CPU limit"
                    optional
                    value={draft.cpu}
                    onText={cpu => set({ cpu })}
                    error={faults.get('overrides')}
                    placeholder="as the template"
                    className="mono"
                  />
                  <TextField
                    label="Memory limit"
                    optional
                    value={draft.memory}
                    onText={memory => set({ memory })}
                    placeholder="as the template"
                    className="mono"
                  />
                </div>
              </div>
            </details>
          )}
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            {pool ? 'Save' : 'Make the pool'}
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
