/** A project's name and how much it may use. An empty field means: no limit. */
import { type FormEvent, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import type { Project } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { TextField } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'
import { draftOf, quotaFields, quotaRequest } from './quota-words.ts'

interface ProjectDialogProps {
  /** Null: a new one. */
  project: Project | null
  onSaved: (project: Project) => void
  onClose: () => void
}

export function ProjectDialog({ project, onSaved, onClose }: ProjectDialogProps) {
  const { api, toasts } = useApp()
  const [name, setName] = useState(project?.name ?? '')
  const [draft, setDraft] = useState(() => draftOf(project?.quotas ?? null))
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map())
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)

  async function submit(event: FormEvent) {
    event.preventDefault()
    if (busy) return
    const { body, faults } = quotaRequest(draft, project?.quotas ?? null)
    const wanted = name.trim()
    if (!wanted) faults.set('name', 'Give it a name.')
    setFaults(faults)
    setRefusal('')
    if (faults.size > 0) return
    if (project && wanted === project.name && Object.keys(body).length === 0) return onClose()
    setBusy(true)
    try {
      const saved = project
        ? await api.changeProject(project.id, { ...body, ...(wanted === project.name ? {} : { name: wanted }) })
        : await api.createProject({ name: wanted, ...strip(body) })
      toasts.say(project ? `${wanted} was changed.` : `${wanted} was made. Make a token for it on the page Tokens.`)
      onSaved(saved)
    } catch (error) {
      setBusy(false)
      if (!(error instanceof ApiError) || error.fields.size === 0) return setRefusal(messageOf(error))
      const byField = new Map([...error.fields].map(([field, words]) => [field.replace(/^quotas\./, ''), words]))
      setFaults(byField)
      const strangers = [...byField].filter(([field]) => field !== 'name' && !quotaFields.some(({ key }) => key === field))
      setRefusal(strangers.map(([field, words]) => `${field}: ${words}`).join(' · '))
    }
  }

  return (
    <Dialog title={project ? `Change ${project.name}` : 'New project'} onClose={onClose} wide light={false}>
      <form onSubmit={submit} noValidate>
        <div className="dialog-body form">
          <TextField
            label="Name"
            value={name}
            onText={setName}
            error={faults.get('name')}
            maxLength={100}
            placeholder="Storefront"
          />
          <p className="field-note">
            Quotas are exact: what would go beyond one is refused. What runs already runs on. An empty field is no limit.
          </p>
          <div className="form-pair">
            {quotaFields.map(field => (
              <TextField
                key={field.key}
                label={field.label}
                optional
                value={draft[field.key]}
                onText={text => setDraft(current => ({ ...current, [field.key]: text }))}
                error={faults.get(field.key)}
                hint={field.hint || undefined}
                placeholder={field.placeholder}
                inputMode={field.kind === 'count' ? 'numeric' : 'text'}
                className="mono"
                autoCapitalize="off"
                spellCheck={false}
              />
            ))}
          </div>
          {refusal && <Notice tone="bad">{refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={busy}>
            {project ? 'Save' : 'Make the project'}
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}

/** A new project has no limit to lift. */
function strip<T extends object>(body: T): T {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)) as T
}
