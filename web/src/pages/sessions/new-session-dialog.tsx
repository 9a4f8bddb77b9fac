/** Start something: pick a template, name it if you like, go. Everything else has a good default and waits behind "More". */
import { type FormEvent, useEffect, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Cluster, Session, Template, Volume } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { fetched } from '../../live/entities.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, Switch, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice } from '../../parts/states.tsx'
import { type Asked, useAsked } from './catalogue.ts'
import { draftLike } from './draft-like.ts'
import { emptyDraft, inOfferedOrder, requestOf, type SessionDraft } from './session-draft.ts'
import { ChoiceField, SizeField, SpanField } from './session-fields.tsx'
import { TemplateCards } from './template-cards.tsx'

interface NewSessionProps {
  templates: Asked<readonly Template[]>
  clusters: readonly Cluster[]
  /** Filled in as this one was. */
  like?: Session | null
  onClose: () => void
}

export function NewSessionDialog({ templates, clusters, like = null, onClose }: NewSessionProps) {
  const { api, live, router, toasts } = useApp()
  const [draft, setDraft] = useState<SessionDraft>(() =>
    like
      ? draftLike(
          like,
          templates.value.find(one => one.id === like.template),
        )
      : emptyDraft,
  )
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  const [more, setMore] = useState(like !== null)
  const volumes = useAsked<readonly Volume[]>([], async signal => (await api.volumes(null, signal)).data, 'volumes')
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
          {(volumes.value.length > 0 || kind === 'desktop') && (
            <ChoiceField
              label="Volume"
              value={draft.volume}
              onChange={volume => set({ volume })}
              fault={fault('volume')}
              hint={
                volumes.value.length === 0
                  ? 'Make one on the page Volumes, and its files outlive the session.'
                  : 'Its files become the home folder and outlive the session.'
              }
              options={[
                ['', 'None: files go with the session'],
                ...volumes.value.map(
                  one =>
                    [one.id, one.session ? `${safeLine(one.name)} (in use)` : safeLine(one.name), one.session !== null] as const,
                ),
              ]}
            />
          )}
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
                <ChoiceField
                  label="Cluster"
                  value={draft.cluster}
                  onChange={cluster => set({ cluster })}
                  fault={fault('cluster')}
                  hint="By itself: the least loaded one that can."
                  options={[
                    ['', 'Choose for me'],
                    ...clusters.map(one => [one.id, one.status === 'online' ? one.name : `${one.name} (${one.status})`] as const),
                  ]}
                />
              </div>
              <div className="form-pair">
                <TextField
                  label="CPU limit"
                  optional
                  value={draft.cpu}
                  onText={cpu => set({ cpu })}
                  error={fault('resources')}
                  placeholder={template?.resources?.cpu ?? '2'}
                  className="mono"
                />
                <TextField
                  label="Memory limit"
                  optional
                  value={draft.memory}
                  onText={memory => set({ memory })}
                  placeholder={template?.resources?.memory ?? '2Gi'}
                  className="mono"
                />
              </div>
              <div className="form-pair">
                <ChoiceField
                  label="Clipboard"
                  value={draft.clipboard}
                  onChange={clipboard => set({ clipboard: clipboard as SessionDraft['clipboard'] })}
                  fault={fault('clipboard')}
                  options={[
                    ['', `As the template${template?.clipboard ? ` (${template.clipboard})` : ''}`],
                    ['both', 'In and out'],
                    ['in', 'Only into the session'],
                    ['out', 'Only out of it'],
                    ['none', 'Closed'],
                  ]}
                />
                <ChoiceField
                  label="Network"
                  value={draft.egress}
                  onChange={egress => set({ egress: egress as SessionDraft['egress'] })}
                  fault={fault('egress')}
                  options={[
                    ['', `As the template${template?.egress ? ` (${template.egress.mode})` : ''}`],
                    ['public', 'The internet, nothing private'],
                    ['none', 'None at all'],
                    ['all', 'Everything the cluster allows'],
                  ]}
                />
              </div>
              <Field label="Environment" error={fault('env')} hint="One NAME=value a line, for the programs in the session.">
                {({ id, describedBy }) => (
                  <textarea
                    id={id}
                    className="input mono"
                    rows={2}
                    aria-describedby={describedBy}
                    spellCheck={false}
                    value={draft.env}
                    onChange={event => set({ env: event.currentTarget.value })}
                  />
                )}
              </Field>
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
              {!(kind === 'browser' && draft.headless) && (
                <Switch
                  label="Record the screen"
                  hint="Kept until the session is deleted."
                  on={draft.recording}
                  onSwitch={recording => set({ recording })}
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

const advanced = new Set([
  'idle_timeout_seconds',
  'cluster',
  'selector',
  'resources',
  'labels',
  'headless',
  'recording',
  'browser',
  'clipboard',
  'egress',
  'env',
])
const shown = new Set([...advanced, 'template', 'name', 'start_url', 'display', 'ttl_seconds', 'volume'])
const rootOf = (field: string) => field.split('.')[0] ?? field
