/** The fields of a `run` job. */
import type { Cluster } from '../../api/contract.ts'
import { Field, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { ChoiceField } from '../sessions/session-fields.tsx'
import type { RunDraft } from './run-draft.ts'

/** Fields of the API whose faults are shown here. */
export const runFieldNames = new Set([
  'name',
  'image',
  'command',
  'env',
  'secret_env',
  'resources',
  'cluster',
  'timeout_seconds',
  'max_attempts',
])

interface RunFieldsProps {
  draft: RunDraft
  set: (changes: Partial<RunDraft>) => void
  faults: ReadonlyMap<string, string>
  clusters: readonly Cluster[]
}

export function RunFields({ draft, set, faults, clusters }: RunFieldsProps) {
  const folded = ['env', 'secret_env', 'resources', 'timeout_seconds', 'max_attempts'].some(field => faults.has(field))
  return (
    <>
      <TextArea
        label="Command"
        value={draft.command}
        onText={command => set({ command })}
        fault={faults.get('command')}
        rows={3}
        placeholder="make test"
        hint="For /bin/sh. Without one, the image runs what it was made for."
      />
      <div className="form-pair">
        <TextField
          label="Image"
          optional
          value={draft.image}
          onText={image => set({ image })}
          error={faults.get('image')}
          placeholder="registry.example/tools:1.4"
          className="mono"
          hint="On Kubernetes. A local machine uses its own programs."
          autoCapitalize="off"
          spellCheck={false}
        />
        <TextField
          label="Name"
          optional
          value={draft.name}
          onText={name => set({ name })}
          error={faults.get('name')}
          maxLength={100}
          placeholder="nightly tests"
        />
      </div>
      <ChoiceField
        label="Cluster"
        value={draft.cluster}
        onChange={cluster => set({ cluster })}
        fault={faults.get('cluster')}
        options={[
          ['', 'Choose for me'],
          ...clusters.map(one => [one.id, one.status === 'online' ? one.name : `${one.name} (${one.status})`] as const),
        ]}
      />
      <details className="more" open={folded || undefined}>
        <summary>
          <Icon name="next" size={16} /> More
        </summary>
        <div className="form">
          <TextArea
            label="Environment"
            value={draft.env}
            onText={env => set({ env })}
            fault={faults.get('env')}
            rows={2}
            placeholder="NAME=value"
            hint="One a line."
          />
          <TextArea
            label="Secrets"
            value={draft.secrets}
            onText={secrets => set({ secrets })}
            fault={faults.get('secret_env')}
            rows={2}
            placeholder="NPM_TOKEN=name-of-the-secret"
            hint="Variable and the name of a stored secret. Its value is never shown."
          />
          <div className="form-pair">
            <TextField
              label="CPU limit"
              optional
              value={draft.cpu}
              onText={cpu => set({ cpu })}
              error={faults.get('resources')}
              placeholder="1"
              className="mono"
            />
            <TextField
              label="Memory limit"
              optional
              value={draft.memory}
              onText={memory => set({ memory })}
              placeholder="1Gi"
              className="mono"
            />
            <TextField
              label="Ends after, minutes"
              optional
              value={draft.timeout}
              onText={timeout => set({ timeout })}
              error={faults.get('timeout_seconds')}
              inputMode="decimal"
              placeholder="60"
            />
            <ChoiceField
              label="When it fails"
              value={draft.attempts}
              onChange={attempts => set({ attempts })}
              fault={faults.get('max_attempts')}
              options={[
                ['1', 'Leave it failed'],
                ['2', 'Try once more'],
                ['3', 'Try up to 3 times'],
                ['5', 'Try up to 5 times'],
              ]}
            />
          </div>
        </div>
      </details>
    </>
  )
}

interface TextAreaProps {
  label: string
  value: string
  onText: (text: string) => void
  fault: string | undefined
  rows: number
  placeholder: string
  hint: string
}

export function TextArea({ label, value, onText, fault, rows, placeholder, hint }: TextAreaProps) {
  return (
    <Field label={label} error={fault} hint={hint}>
      {({ id, describedBy, invalid }) => (
        <textarea
          id={id}
          className="input mono"
          rows={rows}
          value={value}
          placeholder={placeholder}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          spellCheck={false}
          autoCapitalize="off"
          onChange={event => onText(event.currentTarget.value)}
        />
      )}
    </Field>
  )
}
