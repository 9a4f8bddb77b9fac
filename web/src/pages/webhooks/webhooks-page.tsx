/** Hooks of git servers: a push of a branch that fits begins a build, and a deploy after it. */
import '../../styles/webhooks.css'
import { useState } from 'react'
import type { Me, Webhook, WebhookWithSecret } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { HookDetailsDialog, HookSecretDialog } from './hook-dialogs.tsx'
import { providerWords, repositoryOf } from './hook-draft.ts'
import { NewHookDialog } from './new-hook-dialog.tsx'

type Asking = { what: 'new' } | { what: 'made'; hook: WebhookWithSecret } | { what: 'look' | 'delete'; hook: Webhook }

export function WebhooksPage({ me }: { me: Me }) {
  const { api, live, toasts } = useApp()
  const mayWrite = allows(me, 'jobs:write')
  // A push that was taken becomes a job: that is when a delivery is newer.
  const told = useStore(
    live.events,
    list => list.findLast(event => event.type === 'job.created' && event.job?.labels.webhook)?.id ?? '',
  )
  const hooks = usePages('webhooks', (cursor, signal) => api.webhooks(cursor, signal))
  const [asking, setAsking] = useState<Asking | null>(null)
  const { items, reload } = hooks
  const [heard, setHeard] = useState(told)
  if (told !== heard) {
    setHeard(told)
    reload()
  }

  async function toggle(hook: Webhook) {
    try {
      const answer = await api.changeWebhook(hook.id, { enabled: !hook.enabled })
      hooks.change(list => list.map(one => (one.id === answer.id ? answer : one)))
      toasts.say(answer.enabled ? 'The hook works again.' : 'The hook is off: pushes are answered, and begin nothing.')
    } catch (error) {
      toasts.failed('The hook is unchanged', error)
    }
  }

  async function remove(hook: Webhook) {
    try {
      await api.deleteWebhook(hook.id)
      hooks.change(list => list.filter(one => one.id !== hook.id))
      toasts.say('The hook is gone. Take it out of the git server too: its pushes are refused now.')
    } catch (error) {
      toasts.failed('The hook stays', error)
    }
  }

  const create = mayWrite && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New webhook
    </Button>
  )
  return (
    <>
      <PageHead title="Webhooks" summary={items.length === 0 ? 'Builds that begin with a push.' : count(items.length, 'hook')}>
        {create}
      </PageHead>
      <ListTable
        pages={hooks}
        columns={['Name', 'Branches', 'Then', 'Last push']}
        empty={
          <EmptyState title="No webhook yet" action={create}>
            Give GitHub or GitLab an address of Porthole, and each push of a branch that you choose is built, and deployed if you
            say so.
          </EmptyState>
        }
      >
        {items.map(hook => (
          <Row
            key={hook.id}
            hook={hook}
            mayWrite={mayWrite}
            onAsk={what => setAsking({ what, hook })}
            onToggle={() => void toggle(hook)}
          />
        ))}
      </ListTable>
      {asking?.what === 'new' && (
        <NewHookDialog
          me={me}
          onClose={() => setAsking(null)}
          onMade={hook => {
            setAsking({ what: 'made', hook })
            reload()
          }}
        />
      )}
      {asking?.what === 'made' && <HookSecretDialog hook={asking.hook} onClose={() => setAsking(null)} />}
      {asking?.what === 'look' && <HookDetailsDialog hook={asking.hook} onClose={() => setAsking(null)} />}
      {asking?.what === 'delete' && (
        <ConfirmDialog
          title={`Delete the hook ${titleOf(asking.hook)}?`}
          verb="Delete"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.hook)}
        >
          <p>Pushes begin no builds any more. Builds under way go on.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

const titleOf = (hook: Webhook) => safeLine(hook.name ?? '') || repositoryOf(hook.build) || hook.id

interface RowProps {
  hook: Webhook
  mayWrite: boolean
  onAsk: (what: 'look' | 'delete') => void
  onToggle: () => void
}

function Row({ hook, mayWrite, onAsk, onToggle }: RowProps) {
  const title = titleOf(hook)
  const image = typeof hook.build.image === 'string' ? safeLine(hook.build.image) : ''
  const services = Object.keys((hook.deploy?.mappings ?? {}) as Record<string, string>)
  return (
    <tr data-over={!hook.enabled || undefined}>
      <td>
        <button type="button" className="row-open" onClick={() => onAsk('look')}>
          {title}
        </button>
        <span className="faint">
          {providerWords[hook.provider].label} · {safeLine(repositoryOf(hook.build))}
        </span>
      </td>
      <td data-label="Branches">
        <ul className="chips">
          {hook.branches.split(',').map(branch => (
            <li key={branch} className="chip mono">
              {branch}
            </li>
          ))}
        </ul>
      </td>
      <td data-label="Then">
        <span>
          {image ? `build, push to ${image}` : 'build'}
          {services.length > 0 && <span className="faint"> · deploy {services.map(safeLine).join(', ')}</span>}
        </span>
      </td>
      <td data-label="Last push">
        {hook.enabled ? <Ago at={hook.last_delivery_at} /> : <StatusBadge word="Switched off" tone="quiet" />}
      </td>
      <td className="table-actions">
        <Menu
          label={`Actions for ${title}`}
          items={[
            { label: 'Address and last builds', icon: 'eye', onPick: () => onAsk('look') },
            ...(mayWrite
              ? [
                  hook.enabled
                    ? { label: 'Switch off', icon: 'pause' as const, onPick: onToggle }
                    : { label: 'Switch on', icon: 'start' as const, onPick: onToggle },
                  { label: 'Delete', icon: 'end' as const, danger: true, onPick: () => onAsk('delete') },
                ]
              : []),
          ]}
        />
      </td>
    </tr>
  )
}
