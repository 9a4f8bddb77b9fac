/** The fields of a manifest, a deploy and a build. */
import type { Cluster } from '../../api/contract.ts'
import { TextField } from '../../parts/form.tsx'
import { ChoiceField } from '../sessions/session-fields.tsx'
import { BuildFields } from './build-fields.tsx'
import { TextArea } from './run-fields.tsx'
import type { WorksDraft, WorkType } from './works-draft.ts'

interface WorksFieldsProps {
  type: WorkType
  draft: WorksDraft
  set: (changes: Partial<WorksDraft>) => void
  /** By the first step of the API's field. */
  faults: ReadonlyMap<string, string>
  clusters: readonly Cluster[]
}

/** Fields of the API whose faults are shown here. */
export const workFieldNames = new Set([
  'name',
  'cluster',
  'namespace',
  'yaml',
  'set',
  'mappings',
  'git',
  'dockerfile',
  'target',
  'image',
  'tags',
  'build_args',
])

export function WorksFields({ type, draft, set, faults, clusters }: WorksFieldsProps) {
  const text = (key: keyof WorksDraft, label: string, placeholder: string, field: string = key) => (
    <TextField
      label={label}
      optional
      value={draft[key]}
      onText={value => set({ [key]: value })}
      error={faults.get(field)}
      placeholder={placeholder}
      className="mono"
      autoCapitalize="off"
      spellCheck={false}
    />
  )
  return (
    <>
      {type === 'manifest' && (
        <>
          <TextArea
            label="YAML"
            value={draft.yaml}
            onText={yaml => set({ yaml })}
            fault={faults.get('yaml')}
            rows={10}
            placeholder={'apiVersion: apps/v1\nkind: Deployment\n…'}
            hint="Several documents may follow each other. Kinds and fields that are not allowed are refused with their place."
          />
          {text('set', 'Set', 'shop')}
          <p className="field-note">Applied again under the same name, a set loses what its text no longer has.</p>
        </>
      )}
      {type === 'deploy' && (
        <TextArea
          label="Services"
          value={draft.mappings}
          onText={mappings => set({ mappings })}
          fault={faults.get('mappings')}
          rows={4}
          placeholder={'web=registry.example/web:1.4.2\nstatefulset/db=registry.example/db:9'}
          hint="Service and image, one a line. All roll out, or all go back."
        />
      )}
      {type === 'build' && <BuildFields draft={draft} set={set} faults={faults} />}
      <div className="form-pair">
        <ChoiceField
          label="Cluster"
          value={draft.cluster}
          onChange={cluster => set({ cluster })}
          fault={faults.get('cluster')}
          options={[['', 'Choose for me'], ...clusters.map(one => [one.id, one.name] as const)]}
        />
        {type === 'build' ? text('name', 'Name', 'nightly image') : text('namespace', 'Namespace', 'the first of the project')}
      </div>
    </>
  )
}
