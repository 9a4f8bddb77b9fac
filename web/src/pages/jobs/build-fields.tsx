/** The fields of a build. A look at the repository fills in what can be known: its branches, and what its Dockerfile takes. */
import { useId, useState } from 'react'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { Segmented, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice } from '../../parts/states.tsx'
import { useAsked } from '../sessions/catalogue.ts'
import { argumentOf, withArgument } from './build-arguments.ts'
import { TextArea } from './run-fields.tsx'
import { UploadField } from './upload-field.tsx'
import { type Found, useSourceLook } from './use-source-look.ts'
import type { WorksDraft } from './works-draft.ts'

interface BuildFieldsProps {
  draft: WorksDraft
  set: (changes: Partial<WorksDraft>) => void
  faults: ReadonlyMap<string, string>
  /** Of whatever is pushed: there is no branch to choose. */
  ofPush?: boolean
}

export function BuildFields({ draft, set, faults, ofPush = false }: BuildFieldsProps) {
  const lists = useId()
  const [from, setFrom] = useState<'git' | 'files'>('git')
  const source = useSourceLook(draft)
  const found = source.found?.url === draft.url.trim() ? source.found : null
  const known = useKept()
  const folded = ['tags', 'dockerfile', 'target', 'build_args'].some(field => faults.has(field))
  const text = (key: keyof WorksDraft, label: string, placeholder: string, field: string = key, list?: readonly string[]) => (
    <>
      <TextField
        label={label}
        optional
        value={draft[key]}
        onText={value => set({ [key]: value })}
        error={faults.get(field)}
        placeholder={placeholder}
        className="mono"
        autoCapitalize="off"
        autoComplete="off"
        spellCheck={false}
        list={list && list.length > 0 ? `${lists}-${key}` : undefined}
      />
      {list && list.length > 0 && (
        <datalist id={`${lists}-${key}`}>
          {list.map(one => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </>
  )
  return (
    <>
      {!ofPush && (
        <Segmented<'git' | 'files'>
          label="Where the source is"
          chosen={from}
          onChoose={key => {
            setFrom(key)
            set({ upload: '' })
          }}
          choices={[
            { key: 'git', label: 'A repository' },
            { key: 'files', label: 'Files to send' },
          ]}
        />
      )}
      {from === 'files' ? (
        <UploadField sent={draft.upload} onSent={upload => set({ upload })} error={faults.get('upload') ?? faults.get('git')} />
      ) : (
        <>
          <div className="source">
            <TextField
              label="Repository"
              value={draft.url}
              onText={url => set({ url })}
              error={faults.get('git')}
              placeholder="https://git.example/team/app.git"
              className="mono"
              inputMode="url"
              autoCapitalize="off"
              spellCheck={false}
            />
            <Button icon="search" busy={source.busy} onClick={source.look}>
              Look at it
            </Button>
          </div>
          <div className="source-said" role="status">
            {source.fault && <Notice tone="warn">{source.fault}</Notice>}
            {found && <SourceFound found={found} />}
          </div>
        </>
      )}
      <div className="form-pair">
        {!ofPush && from === 'git' && (
          <div>{text('ref', 'Branch, tag or commit', found?.default_branch ?? 'the default branch', 'ref', found?.branches)}</div>
        )}
        <div>
          {text(
            'image',
            'Push to',
            'registry.example/team/app',
            'image',
            known.registries.map(host => `${host}/`),
          )}
        </div>
      </div>
      {from === 'git' && found?.dockerfile && found.dockerfile.args.length > 0 && (
        <fieldset className="source-args">
          <legend>Arguments of {safeLine(found.dockerfile.path)}</legend>
          <div className="form-pair">
            {found.dockerfile.args.map(arg => (
              <TextField
                key={arg.name}
                label={arg.name}
                optional
                value={argumentOf(draft.args, arg.name)}
                onText={value => set({ args: withArgument(draft.args, arg.name, value) })}
                placeholder={arg.default === null ? 'no default' : safeLine(arg.default)}
                className="mono"
                autoCapitalize="off"
                spellCheck={false}
              />
            ))}
          </div>
        </fieldset>
      )}
      <details className="more" open={folded || undefined}>
        <summary>
          <Icon name="next" size={16} /> More
        </summary>
        <div className="form">
          <div className="form-pair">
            <div>{text('tags', 'Tags', '1.4.2, latest')}</div>
            <div>{text('dockerfile', 'Dockerfile', 'Dockerfile')}</div>
            <div>{text('target', 'Stage', 'the last one', 'target', found?.dockerfile?.stages)}</div>
            {from === 'git' && (
              <div>{text('secret', 'Secret for the git server', 'name of a secret', 'secret', known.secrets)}</div>
            )}
          </div>
          <TextArea
            label="Build arguments"
            value={draft.args}
            onText={args => set({ args })}
            fault={faults.get('build_args')}
            rows={2}
            placeholder="VERSION=1.4.2"
            hint="One a line."
          />
        </div>
      </details>
    </>
  )
}

function SourceFound({ found }: { found: Found }) {
  const branches = found.branches.length === 1 ? '1 branch' : `${found.branches.length} branches`
  return (
    <Notice tone="good">
      {branches}
      {found.default_branch && <>, {safeLine(found.default_branch)} by default</>}
      {found.commit && (
        <>
          {' '}
          · now at <code>{safeLine(found.commit).slice(0, 7)}</code>
        </>
      )}
      {' · '}
      {found.dockerfile ? safeLine(found.dockerfile.path) : 'no Dockerfile of this name'}
      {found.dockerfile && found.dockerfile.stages.length > 1 && ` with ${found.dockerfile.stages.length} stages`}
    </Notice>
  )
}

/** Names to choose from; without them the fields are simply written. */
function useKept(): { registries: readonly string[]; secrets: readonly string[] } {
  const { api } = useApp()
  const asked = useAsked<{ registries: readonly string[]; secrets: readonly string[] }>(
    { registries: [], secrets: [] },
    async signal => {
      const [registries, secrets] = await Promise.all([api.registries(null, signal), api.secrets(null, signal)])
      return { registries: registries.data.map(one => one.host), secrets: secrets.data.map(one => one.name) }
    },
    'kept',
  )
  return asked.value
}
