/** Values that jobs get by name. Only the names are ever seen again. */
import { useState } from 'react'
import type { Me, Secret } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { SecretValueDialog } from './secret-value-dialog.tsx'

type Asking = { what: 'new' } | { what: 'replace' | 'delete'; secret: Secret }

export function SecretsPage({ me }: { me: Me }) {
  const { api, toasts } = useApp()
  const mayWrite = allows(me, 'jobs:write')
  const secrets = usePages('secrets', (cursor, signal) => api.secrets(cursor, signal))
  const [asking, setAsking] = useState<Asking | null>(null)
  const { items, reload } = secrets

  async function remove(secret: Secret) {
    try {
      await api.deleteSecret(secret.id)
      secrets.change(list => list.filter(one => one.id !== secret.id))
      toasts.say(`${safeLine(secret.name)} is forgotten.`)
    } catch (error) {
      toasts.failed(`${safeLine(secret.name)} stays`, error)
    }
  }

  const create = mayWrite && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New secret
    </Button>
  )
  return (
    <>
      <PageHead title="Secrets" summary={items.length === 0 ? 'Values that jobs get by name.' : count(items.length, 'secret')}>
        {create}
      </PageHead>
      <ListTable
        pages={secrets}
        columns={['Name', 'Value', 'Last given', 'Made']}
        empty={
          <EmptyState title="No secret yet" action={create}>
            Tokens and passwords that jobs need. A job asks for one by its name; the value is never shown, not even to you.
          </EmptyState>
        }
      >
        {items.map(secret => (
          <tr key={secret.id}>
            <td>
              <strong className="table-name mono">{safeLine(secret.name)}</strong>
            </td>
            <td data-label="Value" className="faint">
              kept, never shown
            </td>
            <td data-label="Last given">
              <Ago at={secret.updated_at} />
            </td>
            <td data-label="Made">
              <Ago at={secret.created_at} />
            </td>
            <td className="table-actions">
              {mayWrite && (
                <Menu
                  label={`Actions for ${safeLine(secret.name)}`}
                  items={[
                    { label: 'Give another value', icon: 'key', onPick: () => setAsking({ what: 'replace', secret }) },
                    { label: 'Forget it', icon: 'end', danger: true, onPick: () => setAsking({ what: 'delete', secret }) },
                  ]}
                />
              )}
            </td>
          </tr>
        ))}
      </ListTable>
      {items.length > 0 && (
        <p className="page-note">
          In a run job: <code>VARIABLE={items[0]?.name}</code> under “Secrets”. In a build: its name as the secret for the git
          server.
        </p>
      )}
      {(asking?.what === 'new' || asking?.what === 'replace') && (
        <SecretValueDialog
          secret={asking.what === 'replace' ? asking.secret : null}
          names={items.map(one => one.name)}
          onClose={() => setAsking(null)}
          onSaved={() => {
            setAsking(null)
            reload()
          }}
        />
      )}
      {asking?.what === 'delete' && (
        <ConfirmDialog
          title={`Forget ${safeLine(asking.secret.name)}?`}
          verb="Forget it"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.secret)}
        >
          <p>Jobs that ask for it by this name fail from now on. Those that run have it already.</p>
        </ConfirmDialog>
      )}
    </>
  )
}
