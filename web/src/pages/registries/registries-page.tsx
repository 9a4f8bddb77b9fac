/** Logins of image registries. A password goes in and never comes back; whether it works is tried from a cluster that builds. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Me, Registry } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { RegistryDialog } from './registry-dialog.tsx'

type Asking = { what: 'new' } | { what: 'replace' | 'delete'; registry: Registry }

interface Trial {
  word: string
  tone: Tone
  /** What came of it in a sentence. */
  words: string
  job: string | null
}

const trying: Trial = { word: 'Trying', tone: 'wait', words: '', job: null }

export function RegistriesPage({ me }: { me: Me }) {
  const { api, toasts } = useApp()
  const mayWrite = allows(me, 'jobs:write')
  const registries = usePages('registries', (cursor, signal) => api.registries(cursor, signal))
  const [asking, setAsking] = useState<Asking | null>(null)
  const [trials, setTrials] = useState<ReadonlyMap<string, Trial>>(new Map())
  const shown = useRef(new AbortController())
  useEffect(() => {
    const controller = new AbortController()
    shown.current = controller
    return () => controller.abort()
  }, [])
  const { items, reload } = registries

  async function test(id: string) {
    const { signal } = shown.current
    const say = (trial: Trial) => setTrials(current => new Map(current).set(id, trial))
    say(trying)
    try {
      say(trialOf(await api.testRegistry(id, signal)))
    } catch (error) {
      if (!signal.aborted) say({ word: 'Not tried', tone: 'warn', words: messageOf(error), job: null })
    }
  }

  async function remove(registry: Registry) {
    try {
      await api.deleteRegistry(registry.id)
      registries.change(list => list.filter(one => one.id !== registry.id))
      toasts.say(`The login of ${safeLine(registry.host)} is forgotten.`)
    } catch (error) {
      toasts.failed('The login stays', error)
    }
  }

  const create = mayWrite && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      Add a login
    </Button>
  )
  return (
    <>
      <PageHead
        title="Registries"
        summary={items.length === 0 ? 'Where builds push their images.' : count(items.length, 'login')}
      >
        {create}
      </PageHead>
      <ListTable
        pages={registries}
        columns={['Registry', 'User name', 'Password', 'Login']}
        empty={
          <EmptyState title="No login yet" action={create}>
            Builds push to a registry with the login that is kept for its host. Public registries that ask for none need nothing
            here.
          </EmptyState>
        }
      >
        {items.map(registry => (
          <Row
            key={registry.id}
            registry={registry}
            trial={trials.get(registry.id)}
            mayWrite={mayWrite}
            onTest={() => void test(registry.id)}
            onAsk={what => setAsking({ what, registry })}
          />
        ))}
      </ListTable>
      {(asking?.what === 'new' || asking?.what === 'replace') && (
        <RegistryDialog
          registry={asking.what === 'replace' ? asking.registry : null}
          hosts={items.map(one => one.host)}
          onClose={() => setAsking(null)}
          onSaved={saved => {
            setAsking(null)
            reload()
            void test(saved.id)
          }}
        />
      )}
      {asking?.what === 'delete' && (
        <ConfirmDialog
          title={`Forget the login of ${safeLine(asking.registry.host)}?`}
          verb="Forget it"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.registry)}
        >
          <p>Builds that push there fail until it is given again. Images that were pushed stay.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

function trialOf(test: { ok: boolean | null; detail: string; job: string }): Trial {
  const words = safeLine(test.detail)
  if (test.ok === true) return { word: 'Works', tone: 'good', words: '', job: null }
  if (test.ok === false) return { word: 'Refused', tone: 'bad', words, job: test.job }
  return { word: 'Not known yet', tone: 'wait', words, job: test.job }
}

interface RowProps {
  registry: Registry
  trial: Trial | undefined
  mayWrite: boolean
  onTest: () => void
  onAsk: (what: 'replace' | 'delete') => void
}

function Row({ registry, trial, mayWrite, onTest, onAsk }: RowProps) {
  const host = safeLine(registry.host)
  return (
    <tr>
      <td>
        <strong className="table-name">{host}</strong>
        <span className="faint">
          {registry.insecure && 'without TLS · '}
          <span className="mono">{registry.id}</span>
        </span>
      </td>
      <td data-label="User name">{safeLine(registry.username)}</td>
      <td data-label="Password">
        <span>
          kept, never shown
          <span className="faint">
            {' '}
            · given <Ago at={registry.updated_at} />
          </span>
        </span>
      </td>
      <td data-label="Login">
        <span className="trial" role="status">
          {trial ? (
            <>
              <StatusBadge word={trial.word} tone={trial.tone} moving={trial === trying} />
              {trial.words && <span className="faint">{trial.words}</span>}
              {trial.job && <Link to={`/jobs/${encodeURIComponent(trial.job)}`}>Its job</Link>}
            </>
          ) : (
            <span className="faint">not tried here</span>
          )}
        </span>
      </td>
      <td className="table-actions">
        {mayWrite && (
          <Menu
            label={`Actions for ${host}`}
            items={[
              { label: 'Try the login', icon: 'check', onPick: onTest },
              { label: 'Replace it', icon: 'key', onPick: () => onAsk('replace') },
              { label: 'Forget it', icon: 'end', danger: true, onPick: () => onAsk('delete') },
            ]}
          />
        )}
      </td>
    </tr>
  )
}
