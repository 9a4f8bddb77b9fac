/** Start something: pick a template, name it if you like, go. Everything else has a good default and waits behind "More". */
import { type FormEvent, useEffect, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Cluster, Template } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { duration } from '../../format/time.ts'
import { fetched } from '../../live/entities.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, Switch, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import type { Asked } from './catalogue.ts'
import { emptyDraft, inOfferedOrder, requestOf, type SessionDraft, type Size, type Span, servable } from './session-draft.ts'

interface NewSessionProps {
  templates: Asked<readonly Template[]>
  clusters: readonly Cluster[]
  onClose: () => void
}

export function NewSessionDialog({ templates, clusters, onClose }: NewSessionProps) {
  const { api, live, router, toasts } = useApp()
  const [draft, setDraft] = useState<SessionDraft>(emptyDraft)
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  const [more, setMore] = useState(false)
  const template = templates.value.find(one => one.id === draft.template)
  const kind = template?.kind ?? 'browser'
  const set = (changes: Partial<SessionDraft>) => {
    setDraft(current => ({ ...current, ...changes }))
    setFaults(new Map())
    setRefusal('')
  }

  const first = inOfferedOrder(templates.value, clusters)[0]?.id
  useEffect(() => {
    if (first) setDraft(current => (current.template ? current : { ...current, template: first }))
  }, [first])

  async function submit(event: FormEvent) {
    event.preventDefault()
    const request = requestOf(draft, kind)
    if (request.faults.size > 0) return show(request.faults)
    setBusy(true)
    setRefusal('')
    try {
      const asOf = live.sessions.get().tick
      const { session, created } = await api.createSession(request.body)
      live.sessions.update(state => fetched(state, [session], asOf))
      if (!created) toasts.say(`${session.name ?? 'It'} is already running: here it is.`, { tone: 'quiet' })
      router.go(`/sessions/${encodeURIComponent(session.id)}`)
      onClose()
    } catch (error) {
      setBusy(false)
      if (error instanceof ApiError && error.fields.size > 0) show(error.fields)
      else setRefusal(error instanceof Error ? error.message : String(error))
    }
  }

  function show(found: ReadonlyMap<string, string>) {
    setFaults(found)
    if ([...found.keys()].some(field => advanced.has(rootOf(field)))) setMore(true)
    const strangers = [...found].filter(([field]) => !shown.has(rootOf(field)))
    if (strangers.length > 0) setRefusal(strangers.map(([field, words]) => `${field}: ${words}`).join(' · '))
  }
  const fault = (field: string) => [...faults].find(([name]) => rootOf(name) === field)?.[1]

  return (
    <Dialog title="New session" onClose={onClose} wide light={false}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <TemplateCards
            templates={templates}
            clusters={clusters}
            chosen={draft.template}
            onChoose={template => set({ template })}
            fault={fault('template')}
          />
          <div className="form-pair">
            <TextField
              label="Name"
              optional
              value={draft.name}
              onText={name => set({ name })}
              error={fault('name')}
              maxLength={100}
              placeholder="checkout-test"
              hint="The same name finds the same running session."
            />
            {kind === 'browser' && (
              <TextField
                label="First page"
                optional
                value={draft.startUrl}
                onText={startUrl => set({ startUrl })}
                error={fault('start_url')}
                placeholder="example.com"
                inputMode="url"
                autoCapitalize="off"
                spellCheck={false}
              />
            )}
          </div>
          <div className="form-pair">
            {!(kind === 'browser' && draft.headless) && (
              <SizeField draft={draft} template={template} set={set} fault={fault('display')} />
            )}
            <SpanField
              label="Ends after"
              span={draft.ttl}
              minutes={draft.ttlMinutes}
              byTemplate={template?.ttl_seconds}
              fault={fault('ttl_seconds')}
              onChange={(ttl, ttlMinutes) => set({ ttl, ttlMinutes })}
            />
          </div>
          <details className="more" open={more} onToggle={event => setMore(event.currentTarget.open)}>
            <summary>
              <Icon name="next" size={16} /> More
            </summary>
            <div className="form">
              <div className="form-pair">
                <SpanField
                  label="Ends when idle for"
                  span={draft.idle}
                  minutes={draft.idleMinutes}
                  byTemplate={template?.idle_timeout_seconds}
                  fault={fault('idle_timeout_seconds')}
                  onChange={(idle, idleMinutes) => set({ idle, idleMinutes })}
                />
                <Field label="Cluster" error={fault('cluster')} hint="By itself: the least loaded one that can.">
                  {({ id, describedBy }) => (
                    <select
                      id={id}
                      className="select"
                      aria-describedby={describedBy}
                      value={draft.cluster}
                      onChange={event => set({ cluster: event.currentTarget.value })}
                    >
                      <option value="">Choose for me</option>
                      {clusters.map(cluster => (
                        <option key={cluster.id} value={cluster.id}>
                          {cluster.name}
                          {cluster.status === 'online' ? '' : ` (${cluster.status})`}
                        </option>
                      ))}
                    </select>
                  )}
                </Field>
              </div>
              <div className="form-pair">
                <TextField
                  label="CPU limit"
                  optional
                  value={draft.cpu}
                  onText={cpu => set({ cpu })}
                  error={fault('resources')}
                  placeholder="2"
                  className="mono"
                />
                <TextField
                  label="Memory limit"
                  optional
                  value={draft.memory}
                  onText={memory => set({ memory })}
                  placeholder="2Gi"
                  className="mono"
                />
              </div>
              <TextField
                label="Labels"
                optional
                value={draft.labels}
                onText={labels => set({ labels })}
                error={fault('labels')}
                placeholder="team=payments, run=7"
                className="mono"
                spellCheck={false}
              />
              {kind === 'browser' && (
                <Switch
                  label="Headless"
                  hint="No screen: for scripts only, and lighter."
                  on={draft.headless}
                  onSwitch={headless => set({ headless })}
                />
              )}
            </div>
          </details>
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy} disabled={!draft.template}>
            Start
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}

const advanced = new Set(['idle_timeout_seconds', 'cluster', 'selector', 'resources', 'labels', 'headless', 'browser'])
const shown = new Set([...advanced, 'template', 'name', 'start_url', 'display', 'ttl_seconds'])
const rootOf = (field: string) => field.split('.')[0] ?? field

interface TemplateCardsProps {
  templates: Asked<readonly Template[]>
  clusters: readonly Cluster[]
  chosen: string
  onChoose: (id: string) => void
  fault: string | undefined
}

function TemplateCards({ templates, clusters, chosen, onChoose, fault }: TemplateCardsProps) {
  if (templates.phase === 'failed') {
    return (
      <Notice tone="bad">
        The templates could not be loaded.{' '}
        <button type="button" className="link-button" onClick={templates.retry}>
          Try again
        </button>
      </Notice>
    )
  }
  return (
    <fieldset className="templates" aria-busy={templates.phase === 'loading'}>
      <legend className="unseen">Template</legend>
      {templates.phase === 'loading' &&
        templates.value.length === 0 &&
        ['a', 'b'].map(key => <Skeleton key={key} height="76px" />)}
      {inOfferedOrder(templates.value, clusters).map(template => (
        <label key={template.id} className="template">
          <input
            type="radio"
            name="template"
            value={template.id}
            checked={template.id === chosen}
            onChange={() => onChoose(template.id)}
          />
          <span className="template-card">
            <span className="template-icon">
              <Icon name={template.kind} size={20} />
            </span>
            <strong>{template.name}</strong>
            <small>{template.description}</small>
            {!servable(template, clusters) && <small className="template-warn">No cluster that is online can run it.</small>}
          </span>
        </label>
      ))}
      {templates.phase === 'ready' && templates.value.length === 0 && (
        <Notice tone="warn">There is no template yet: an admin makes them with PUT /v1/templates.</Notice>
      )}
      {fault && <p className="field-note">{fault}</p>}
    </fieldset>
  )
}

interface SizeFieldProps {
  draft: SessionDraft
  template: Template | undefined
  set: (changes: Partial<SessionDraft>) => void
  fault: string | undefined
}

function SizeField({ draft, template, set, fault }: SizeFieldProps) {
  const usual = template?.display ? ` (${template.display.width} × ${template.display.height})` : ''
  return (
    <Field label="Screen" error={fault}>
      {({ id, describedBy }) => (
        <div className="joined">
          <select
            id={id}
            className="select"
            aria-describedby={describedBy}
            value={draft.size}
            onChange={event => set({ size: event.currentTarget.value as Size })}
          >
            <option value="template">As the template{usual}</option>
            <option value="1280x720">1280 × 720</option>
            <option value="1440x900">1440 × 900</option>
            <option value="1920x1080">1920 × 1080</option>
            <option value="390x844">Phone, 390 × 844</option>
            <option value="custom">Other…</option>
          </select>
          {draft.size === 'custom' && (
            <>
              <input
                className="input short"
                inputMode="numeric"
                aria-label="Width"
                value={draft.width}
                onChange={event => set({ width: event.currentTarget.value })}
              />
              <span aria-hidden="true">×</span>
              <input
                className="input short"
                inputMode="numeric"
                aria-label="Height"
                value={draft.height}
                onChange={event => set({ height: event.currentTarget.value })}
              />
            </>
          )}
        </div>
      )}
    </Field>
  )
}

interface SpanFieldProps {
  label: string
  span: Span
  minutes: string
  byTemplate: number | null | undefined
  fault: string | undefined
  onChange: (span: Span, minutes: string) => void
}

function SpanField({ label, span, minutes, byTemplate, fault, onChange }: SpanFieldProps) {
  const usual = byTemplate ? ` (${duration(byTemplate * 1000)})` : ''
  return (
    <Field label={label} error={fault}>
      {({ id, describedBy }) => (
        <div className="joined">
          <select
            id={id}
            className="select"
            aria-describedby={describedBy}
            value={span}
            onChange={event => onChange(event.currentTarget.value as Span, minutes)}
          >
            <option value="template">As the template{usual}</option>
            <option value="900">15 minutes</option>
            <option value="3600">1 hour</option>
            <option value="14400">4 hours</option>
            <option value="28800">8 hours</option>
            <option value="86400">1 day</option>
            <option value="custom">Other…</option>
          </select>
          {span === 'custom' && (
            <>
              <input
                className="input short"
                inputMode="decimal"
                aria-label={`${label}, minutes`}
                value={minutes}
                onChange={event => onChange(span, event.currentTarget.value)}
              />
              <span>min</span>
            </>
          )}
        </div>
      )}
    </Field>
  )
}
