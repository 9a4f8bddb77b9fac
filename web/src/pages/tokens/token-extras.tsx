/** The folded parts of the form of a new token: what narrows it, and whose it is. */
import type { Me } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { Field, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import type { BoundsDraft } from './token-bounds.ts'

export function Bounds({ draft, onDraft }: { draft: BoundsDraft; onDraft: (changes: Partial<BoundsDraft>) => void }) {
  return (
    <details className="more">
      <summary>
        <Icon name="next" size={16} /> Narrow it further
      </summary>
      <div className="form">
        <TextField
          label="Only from these networks"
          optional
          value={draft.networks}
          onText={networks => onDraft({ networks })}
          placeholder="10.0.0.0/8, 2001:db8::/32"
          className="mono"
          autoCapitalize="off"
          spellCheck={false}
        />
        <div className="form-pair">
          <TextField
            label="Sessions at once"
            optional
            value={draft.sessions}
            onText={sessions => onDraft({ sessions })}
            inputMode="numeric"
          />
          <TextField
            label="Streams at once"
            optional
            value={draft.streams}
            onText={streams => onDraft({ streams })}
            inputMode="numeric"
          />
          <TextField
            label="Requests a minute"
            optional
            value={draft.requests}
            onText={requests => onDraft({ requests })}
            inputMode="numeric"
          />
        </div>
      </div>
    </details>
  )
}

interface OwnerProps {
  me: Me
  user: string
  onUser: (text: string) => void
  fault: string | undefined
  project: string
  onProject: (id: string) => void
}

/** Only an admin makes tokens for others. */
export function Owner({ me, user, onUser, fault, project, onProject }: OwnerProps) {
  const { api } = useApp()
  const projects = usePages('projects', (cursor, signal) => api.projects(cursor, signal))
  const others = projects.items.filter(one => one.id !== me.project.id)
  return (
    <details className="more">
      <summary>
        <Icon name="next" size={16} /> For somebody else
      </summary>
      <div className="form form-pair">
        <TextField
          label="User"
          optional
          value={user}
          onText={onUser}
          error={fault}
          placeholder={me.user}
          hint="A word of a-z and 0-9. People and scripts see only what is theirs."
          autoCapitalize="off"
          spellCheck={false}
        />
        <Field label="Project">
          {({ id }) => (
            <select id={id} className="select" value={project} onChange={event => onProject(event.currentTarget.value)}>
              <option value="">{me.project.name || me.project.id}</option>
              {others.map(one => (
                <option key={one.id} value={one.id}>
                  {safeLine(one.name)}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
    </details>
  )
}
