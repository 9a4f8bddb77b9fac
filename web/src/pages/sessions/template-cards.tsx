/** What can be started, as cards; what no cluster could run now says so. */
import type { Cluster, Template } from '../../api/contract.ts'
import { Icon } from '../../parts/icons.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import type { Asked } from './catalogue.ts'
import { inOfferedOrder, servable, templateFacts } from './session-draft.ts'

interface TemplateCardsProps {
  templates: Asked<readonly Template[]>
  clusters: readonly Cluster[]
  chosen: string
  onChoose: (id: string) => void
  fault: string | undefined
}

export function TemplateCards({ templates, clusters, chosen, onChoose, fault }: TemplateCardsProps) {
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
            <small className="template-facts">{templateFacts(template)}</small>
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
