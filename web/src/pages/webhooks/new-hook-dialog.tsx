/** A new hook: whose, which branches, what is built, and what follows. */
import { useState } from 'react'
import type { Me, WebhookWithSecret } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { Button } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Segmented, Switch, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice } from '../../parts/states.tsx'
import { useSubmit } from '../../parts/use-submit.ts'
import { BuildFields } from '../jobs/build-fields.tsx'
import { TextArea } from '../jobs/run-fields.tsx'
import type { WorksDraft } from '../jobs/works-draft.ts'
import { useClusters } from '../sessions/catalogue.ts'
import { ChoiceField } from '../sessions/session-fields.tsx'
import { emptyHook, formFaults, type HookDraft, hookFields, hookRequest, type Provider, providerWords } from './hook-draft.ts'

interface NewHookProps {
  me: Me
  onMade: (hook: WebhookWithSecret) => void
  onClose: () => void
}

export function NewHookDialog({ me, onMade, onClose }: NewHookProps) {
  const { api } = useApp()
  const clusters = useClusters(allows(me, 'clusters:read'))
  const [draft, setDraft] = useState<HookDraft>(emptyHook)
  const submit = useSubmit({
    known: hookFields,
    check: () => hookRequest(draft).faults,
    async send() {
      onMade(await api.createWebhook(hookRequest(draft).body))
    },
  })
  const faults = formFaults(submit.faults)
  const set = (changes: Partial<HookDraft>) => {
    setDraft(current => ({ ...current, ...changes }))
    submit.forget()
  }
  const setWorks = (changes: Partial<WorksDraft>) => set({ works: { ...draft.works, ...changes } })
  const mayDeploy = allows(me, 'manifests')
  return (
    <Dialog title="New webhook" onClose={onClose} wide light={false}>
      <form onSubmit={submit.onSubmit} noValidate>
        <div className="dialog-body form">
          <Segmented<Provider>
            label="Git server"
            chosen={draft.provider}
            onChoose={provider => set({ provider })}
            choices={[
              { key: 'github', label: providerWords.github.label },
              { key: 'gitlab', label: providerWords.gitlab.label },
            ]}
          />
          <BuildFields draft={draft.works} set={setWorks} faults={faults} ofPush />
          <div className="form-pair">
            <TextField
              label="Branches"
              value={draft.branches}
              onText={branches => set({ branches })}
              error={faults.get('branches')}
              className="mono"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="main, release/*"
              hint="Comma separated. * is anything but a slash, ** anything."
            />
            <TextField
              label="Name"
              optional
              value={draft.name}
              onText={name => set({ name })}
              error={faults.get('name')}
              maxLength={100}
              placeholder="app, production"
            />
          </div>
          <Switch
            label="Deploy what was built"
            hint={mayDeploy ? 'After each build that succeeded.' : 'Your token may not: it lacks the scope manifests.'}
            on={draft.deploys}
            disabled={!mayDeploy}
            onSwitch={deploys => set({ deploys, works: { ...draft.works, mappings: draft.works.mappings || 'web={image}' } })}
          />
          {draft.deploys && (
            <>
              <TextArea
                label="Services"
                value={draft.works.mappings}
                onText={mappings => setWorks({ mappings })}
                fault={faults.get('mappings')}
                rows={2}
                placeholder="web={image}"
                hint="Service and image, one a line. {image} stands for the image that was built, by its digest."
              />
              <TextField
                label="Namespace"
                optional
                value={draft.works.namespace}
                onText={namespace => setWorks({ namespace })}
                error={faults.get('namespace')}
                className="mono"
                placeholder="the first of the project"
              />
            </>
          )}
          <details className="more" open={faults.has('secret') || faults.has('cluster') || undefined}>
            <summary>
              <Icon name="next" size={16} /> Where, and with which secret
            </summary>
            <div className="form">
              <ChoiceField
                label="Cluster that builds"
                value={draft.works.cluster}
                onChange={cluster => setWorks({ cluster })}
                fault={faults.get('cluster')}
                options={[['', 'Choose for me'], ...clusters.value.map(one => [one.id, one.name] as const)]}
              />
              <TextField
                label="Secret of the hook"
                optional
                type="password"
                value={draft.secret}
                onText={secret => set({ secret })}
                error={faults.get('secret')}
                autoComplete="new-password"
                hint="Only to take over a hook that is there already; else Porthole makes one."
              />
            </div>
          </details>
          {submit.refusal && <Notice tone="bad">{submit.refusal}</Notice>}
        </div>
        <footer className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" busy={submit.busy}>
            Make the hook
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
